"""Whatever arrives, in whatever order and however often: the books agree, and nothing is left over in the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.base import Contract
from services.payment.app import create_app
from tests.integration.services.barrier_behaviour import assert_gateway_agrees
from tests.support.builders import ReturnCommands, random_sku
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt, Service, in_memory
from tests.support.stock import receive, stock_of

# Each example has a saga of its own; the service under it may be shared.
RELAXED = settings(max_examples=75, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEAD_STARTS = st.integers(0, 25)
REPLY_DELAYS_S = (0, 0.002, 0.005)
"""Of the gateways of the replicas: a command at one is overtaken at another, in all its stages."""
REPLICAS = st.integers(0, len(REPLY_DELAYS_S) - 1)


Schedule = list[tuple[str, int, int]]


def scheduled(*names: str) -> st.SearchStrategy[Schedule]:
    """Commands, each with the turns of the event loop after which it sets off, and the replica it goes to."""
    return st.lists(st.tuples(st.sampled_from(names), HEAD_STARTS, REPLICAS), min_size=2, max_size=10)


async def send_all(sagas: list[SagaAt], made: Mapping[str, Contract], schedule: Schedule) -> None:
    async def send(name: str, head_start: int, replica: int) -> None:
        for _ in range(head_start):
            await asyncio.sleep(0)
        await eventually(partial(_is_answered, sagas[replica % len(sagas)], made[name]))

    await asyncio.gather(*(send(*entry) for entry in schedule))


async def _is_answered(saga: SagaAt, command: Contract) -> bool:
    """Whether there is an answer; 503 asks for the same again, as a saga sends it."""
    response = await saga.send(command)
    assert response.status_code in (200, 409, 503), response.text
    return response.status_code != 503


@pytest.fixture
async def payments(databases: Databases) -> AsyncIterator[list[Service]]:
    """Replicas on one database."""
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(
                in_memory(
                    create_app(
                        database_url=databases.url("payment"),
                        gateway_database_url=databases.url("gateway"),
                        gateway_reply_delay_s=delay_s,
                        fault_injection=False,
                    )
                )
            )
            for delay_s in REPLY_DELAYS_S
        ]


@RELAXED
@given(schedule=scheduled("authorize_payment", "release_payment", "capture_payment", "abandon_capture"))
async def test_payment_when_anything_arrives_in_any_order_then_all_books_agree(
    payments: list[Service], schedule: Schedule
) -> None:
    payment = payments[0]
    saga = SagaAt(payment)
    made = {
        "authorize_payment": saga.commands.authorize_payment(),
        "release_payment": saga.commands.release_payment(),
        "capture_payment": saga.commands.capture_payment(),
        "abandon_capture": saga.commands.abandon_capture(),
    }
    await send_all([SagaAt(replica, saga.commands) for replica in payments], made, schedule)

    fenced = await saga.outcome(saga.commands.abandon_capture())
    released = await saga.outcome(saga.commands.release_payment())

    events = Counter(await saga.events())
    assert max(events.values(), default=1) == 1
    captured = events["PaymentCaptured"] == 1
    assert fenced == ("already_done" if captured else "fenced")
    if captured:
        assert released == "PAYMENT_ALREADY_CAPTURED"
    state = (await payment.stream(saga.order_id))["state"]
    assert state["held_minor"] == 0
    assert state["authorized_minor"] == state["voided_minor"] + state["expired_minor"] + state["captured_minor"]
    await assert_gateway_agrees(payment, saga.order_id)


@RELAXED
@given(schedule=scheduled("refund_payment", "abandon_refund", "another_refund"))
async def test_refunds_when_anything_arrives_in_any_order_then_never_two(
    payments: list[Service], schedule: Schedule
) -> None:
    ordered = SagaAt(payments[0])
    for command in (ordered.commands.authorize_payment(), ordered.commands.capture_payment()):
        await eventually(partial(_is_answered, ordered, command))
    first, second = ReturnCommands(ordered.commands.order_id), ReturnCommands(ordered.commands.order_id)
    by_first = {"refund_payment": first.refund_payment(), "abandon_refund": first.abandon_refund()}
    replicas = [SagaAt(replica, first) for replica in payments]
    others = [SagaAt(replica, second) for replica in payments]
    await asyncio.gather(
        send_all(replicas, by_first, [entry for entry in schedule if entry[0] in by_first]),
        send_all(
            others,
            {"another_refund": second.refund_payment()},
            [entry for entry in schedule if entry[0] not in by_first],
        ),
    )

    fenced = await replicas[0].outcome(first.abandon_refund())

    events = await ordered.events()
    assert events.count("PaymentRefunded") <= 1
    stream = await payments[0].stream(ordered.order_id)
    refunded_by = [event["saga_id"] for event in stream["events"] if event["type"] == "PaymentRefunded"]
    assert fenced == ("already_done" if refunded_by == [first.saga_id] else "fenced")
    await assert_gateway_agrees(payments[0], ordered.order_id)


@RELAXED
@given(schedule=scheduled("book_shipment", "cancel_shipment", "dispatch_shipment"))
async def test_shipping_when_anything_arrives_in_any_order_then_stock_balances(
    shipping: Service, schedule: Schedule
) -> None:
    sku = random_sku()
    await receive(shipping, 3, sku=sku)
    saga = SagaAt(shipping)
    made = {
        "book_shipment": saga.commands.book_shipment((sku, 2)),
        "cancel_shipment": saga.commands.cancel_shipment(),
        "dispatch_shipment": saga.commands.dispatch_shipment(),
    }
    await send_all([saga], made, schedule)

    cancelled = await saga.outcome(saga.commands.cancel_shipment())

    stock = await stock_of(shipping, sku)
    dispatched = 2 if cancelled == "SHIPMENT_ALREADY_DISPATCHED" else 0
    assert stock == {"received": 3, "on_hand": 3 - dispatched, "booked": 0, "dispatched": dispatched}
    assert max(Counter(await saga.events()).values(), default=1) == 1
