"""How the command barrier behaves, on whatever database a service runs on.

A back end inherits this suite and says where its database is.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from threading import Lock

import pytest
from fastapi import FastAPI

from contracts.sagas import Cause
from contracts.wire import ALREADY_COMPENSATED, KEY_REUSED
from services.order.app import create_app as create_order_app
from services.payment.app import create_app as create_payment_app
from tests.support.builders import SagaCommands
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt, Service, in_memory


class BarrierBehaviour:
    """The order service has local actions, the payment service actions that ask outside; both obey one barrier."""

    @pytest.fixture
    def database_urls(self) -> tuple[str, str, str]:
        """Of three fresh databases: of the order service, of the payment service and of the gateway."""
        raise NotImplementedError

    @pytest.fixture
    async def order(self, database_urls: tuple[str, str, str]) -> AsyncIterator[Service]:
        async with in_memory(create_order_app(database_url=database_urls[0], fault_injection=False)) as service:
            yield service

    @pytest.fixture
    async def payments(self, database_urls: tuple[str, str, str]) -> AsyncIterator[tuple[Service, Service]]:
        """Two replicas, a slow one and a fast one: what is under way at one can be overtaken at the other."""
        async with AsyncExitStack() as stack:
            slow, fast = [
                await stack.enter_async_context(in_memory(payment_app(database_urls, gateway_reply_delay_s=delay_s)))
                for delay_s in (0.5, 0)
            ]
            yield slow, fast

    @pytest.fixture
    async def payment(self, database_urls: tuple[str, str, str]) -> AsyncIterator[Service]:
        async with in_memory(payment_app(database_urls, gateway_reply_delay_s=0.02)) as service:
            yield service

    async def test_action_when_sent_again_then_the_stored_reply_comes_back(self, order: Service) -> None:
        saga = SagaAt(order)
        first = await saga.send(saga.commands.place_order())

        again = await saga.send(saga.commands.place_order())

        assert (again.status_code, again.content) == (200, first.content)
        assert await saga.events() == ["OrderPlaced"]

    async def test_refusal_when_sent_again_then_it_is_refused_again(self, payment: Service) -> None:
        saga = SagaAt(payment)
        first = await saga.send(saga.commands.authorize_payment(token="tok_declined"))

        again = await saga.send(saga.commands.authorize_payment(token="tok_declined"))

        assert first.json()["code"] == "CARD_DECLINED"
        assert (again.status_code, again.content) == (409, first.content)

    async def test_key_when_it_comes_with_another_body_then_it_is_reused(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order(quantity=1))

        response = await saga.send(saga.commands.place_order(quantity=2))

        assert (response.status_code, response.json()["code"]) == (422, KEY_REUSED)
        assert await saga.events() == ["OrderPlaced"]

    async def test_key_when_another_saga_undoes_with_it_then_it_is_reused_and_nothing_is_undone(
        self, order: Service
    ) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())
        thief = SagaCommands(saga.commands.order_id, saga_id="thief")

        response = await order.send(thief.reject_order(), key=saga.commands.key_of(saga.commands.reject_order()))

        assert (response.status_code, response.json()["code"]) == (422, KEY_REUSED)
        assert await saga.outcome(saga.commands.confirm_order()) == "done"

    async def test_undo_when_another_saga_sends_it_with_its_own_key_then_nothing_is_undone(
        self, order: Service
    ) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())
        other = SagaAt(order, SagaCommands(saga.commands.order_id, saga_id="another"))

        assert await other.outcome(other.commands.reject_order()) == "nothing_to_undo"
        assert await saga.events() == ["OrderPlaced"]

    async def test_undo_when_its_action_happened_then_it_is_undone_once(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())

        first = await saga.send(saga.commands.reject_order(Cause.FAILED))
        again = await saga.send(saga.commands.reject_order(Cause.CANCELLED))

        assert first.json() == {"outcome": "done", "events": [{"type": "OrderRejected", "version": 2}]}
        assert again.content == first.content
        assert (await order.stream(saga.order_id))["state"]["cause"] == "failed"

    async def test_undo_when_its_action_never_came_then_a_tombstone_refuses_it(self, order: Service) -> None:
        saga = SagaAt(order)

        assert await saga.outcome(saga.commands.reject_order()) == "nothing_to_undo"
        assert await saga.outcome(saga.commands.place_order()) == ALREADY_COMPENSATED
        assert await saga.outcome(saga.commands.reject_order()) == "nothing_to_undo"
        stream = await order.stream(saga.order_id)
        assert (stream["version"], stream["events"]) == (0, [])
        assert [(row["command"], row["outcome"]) for row in stream["barrier"]] == [("RejectOrder", "nothing_to_undo")]

    async def test_undo_when_its_action_was_refused_then_there_is_nothing_to_undo(self, payment: Service) -> None:
        saga = SagaAt(payment)
        await saga.send(saga.commands.authorize_payment(token="tok_declined"))

        assert await saga.outcome(saga.commands.release_payment()) == "nothing_to_undo"
        assert await saga.events() == []

    async def test_action_when_it_was_undone_then_that_outranks_its_stored_reply(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())
        await saga.send(saga.commands.reject_order())

        assert await saga.outcome(saga.commands.place_order()) == ALREADY_COMPENSATED

    async def test_fence_when_the_action_happened_then_already_done_and_nothing_changes(self, payment: Service) -> None:
        saga = SagaAt(payment)
        await saga.send(saga.commands.authorize_payment())
        captured = await saga.send(saga.commands.capture_payment())

        assert await saga.outcome(saga.commands.abandon_capture()) == "already_done"
        assert await saga.outcome(saga.commands.abandon_capture()) == "already_done"
        assert (await saga.send(saga.commands.capture_payment())).content == captured.content

    async def test_fence_when_the_action_never_came_then_it_never_will(self, payment: Service) -> None:
        saga = SagaAt(payment)
        await saga.send(saga.commands.authorize_payment())

        assert await saga.outcome(saga.commands.abandon_capture()) == "fenced"
        assert await saga.outcome(saga.commands.capture_payment()) == ALREADY_COMPENSATED
        assert await saga.outcome(saga.commands.abandon_capture()) == "fenced"
        assert await saga.events() == ["PaymentAuthorized"]

    async def test_undo_when_refused_then_the_refusal_is_not_stored(self, order: Service) -> None:
        saga = SagaAt(order)
        await saga.send(saga.commands.place_order())
        await saga.send(saga.commands.confirm_order())

        assert await saga.outcome(saga.commands.reject_order()) == "ORDER_ALREADY_CONFIRMED"
        commands = [row["command"] for row in (await order.stream(saga.order_id))["barrier"]]
        assert commands == ["PlaceOrder", "ConfirmOrder"]

    async def test_retriable_when_refused_then_trying_again_can_succeed(self, order: Service) -> None:
        saga = SagaAt(order)
        before = await saga.outcome(saga.commands.confirm_order())
        await saga.send(saga.commands.place_order())

        assert before == "ORDER_NOT_PENDING"
        assert await saga.outcome(saga.commands.confirm_order()) == "done"

    @pytest.mark.parametrize("service", ["order", "payment"])
    async def test_action_when_sent_20_times_at_once_then_one_effect_and_20_equal_replies(
        self, service: str, order: Service, payment: Service
    ) -> None:
        saga = SagaAt(order if service == "order" else payment)
        command = saga.commands.place_order() if service == "order" else saga.commands.authorize_payment()

        replies = await asyncio.gather(*(saga.send(command) for _ in range(20)))

        assert {(reply.status_code, reply.content) for reply in replies} == {(200, replies[0].content)}
        assert len(await saga.events()) == 1

    async def test_undo_when_sent_twice_at_once_and_then_the_action_then_no_effect(self, payment: Service) -> None:
        saga = SagaAt(payment)

        undone = await asyncio.gather(*(saga.outcome(saga.commands.release_payment()) for _ in range(2)))
        late = await saga.outcome(saga.commands.authorize_payment())

        assert (undone, late) == (["nothing_to_undo"] * 2, ALREADY_COMPENSATED)
        assert await saga.events() == []

    async def test_undo_when_it_overtakes_its_action_at_the_gateway_then_it_wins(
        self, payments: tuple[Service, Service]
    ) -> None:
        slow, fast = SagaAt(payments[0]), SagaAt(payments[1])
        fast.commands = slow.commands
        action = asyncio.create_task(slow.outcome(slow.commands.authorize_payment()))
        await eventually(lambda: gateway_knows(payments[1], slow.order_id))

        undone = await fast.outcome(fast.commands.release_payment())

        assert (undone, await action) == ("done", ALREADY_COMPENSATED)
        assert await slow.events() == ["PaymentAuthorized", "PaymentVoided"]
        await assert_gateway_agrees(payments[1], slow.order_id)

    async def test_fence_when_it_overtakes_the_pivots_reply_then_it_came_too_late(
        self, payments: tuple[Service, Service]
    ) -> None:
        slow, fast = SagaAt(payments[0]), SagaAt(payments[1])
        fast.commands = slow.commands
        await fast.send(fast.commands.authorize_payment())
        action = asyncio.create_task(slow.outcome(slow.commands.capture_payment()))
        await eventually(lambda: gateway_knows(payments[1], slow.order_id, "captures"))

        fenced = await fast.outcome(fast.commands.abandon_capture())

        assert (fenced, await action) == ("already_done", "done")
        assert await slow.events() == ["PaymentAuthorized", "PaymentCaptured"]
        await assert_gateway_agrees(payments[1], slow.order_id)

    async def test_action_and_undo_when_they_meet_at_two_replicas_then_one_of_the_legal_outcomes(
        self, database_urls: tuple[str, str, str]
    ) -> None:
        """Each replica in a thread of its own: they meet in the database only."""
        sagas = [SagaCommands() for _ in range(40)]

        def replica(undoes: bool) -> list[str]:
            return asyncio.run(send_all(database_urls[0], sagas, undoes=undoes))

        actions, undone = await asyncio.gather(asyncio.to_thread(replica, False), asyncio.to_thread(replica, True))

        for pair in zip(actions, undone, strict=True):
            assert pair in {("done", "done"), (ALREADY_COMPENSATED, "nothing_to_undo")}

    async def test_action_when_sent_to_two_replicas_at_once_then_one_effect_and_equal_replies(
        self, database_urls: tuple[str, str, str]
    ) -> None:
        sagas = [SagaCommands() for _ in range(40)]

        def replica() -> list[str]:
            return asyncio.run(send_all(database_urls[0], sagas, undoes=False))

        first, second = await asyncio.gather(asyncio.to_thread(replica), asyncio.to_thread(replica))

        assert (set(first), set(second)) == ({"done"}, {"done"})


def payment_app(database_urls: tuple[str, str, str], *, gateway_reply_delay_s: float) -> FastAPI:
    return create_payment_app(
        database_url=database_urls[1],
        gateway_database_url=database_urls[2],
        gateway_reply_delay_s=gateway_reply_delay_s,
        fault_injection=False,
    )


async def gateway_knows(payment: Service, order_id: str, kind: str = "holds") -> bool:
    return bool((await payment.http.get(f"/gateway/books/{order_id}")).json()[kind])


BUILDING = Lock()


async def send_all(database_url: str, sagas: list[SagaCommands], *, undoes: bool) -> list[str]:
    async with AsyncExitStack() as stack:
        # FastAPI silences warnings while it builds an app, which no two threads may do at once.
        with BUILDING:
            app = create_order_app(database_url=database_url, fault_injection=False)
        service = await stack.enter_async_context(in_memory(app))
        outcomes = []
        for commands in sagas:
            saga = SagaAt(service, commands)
            outcomes.append(await saga.outcome(commands.reject_order() if undoes else commands.place_order()))
            assert len(await saga.events()) <= 2
        return outcomes


async def assert_gateway_agrees(payment: Service, order_id: str) -> None:
    """The gateway's own books say of each hold, and of what was paid back, what our events say."""
    state = (await payment.stream(order_id))["state"]
    books = (await payment.http.get(f"/gateway/books/{order_id}")).json()
    theirs = {hold["key"]: (hold["amount_minor"], hold["state"]) for hold in books["holds"] if hold["amount_minor"]}
    ours = {key: (hold["amount_minor"], hold["status"]) for key, hold in state["holds"].items()}
    assert theirs == ours
    assert sum(refund["amount_minor"] for refund in books["refunds"]) == state["refunded_minor"]
