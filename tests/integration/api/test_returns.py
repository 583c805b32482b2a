"""Returns before the real services and a real worker: every end there is, told rightly, and what the audits say."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from api.audit.verdicts import Audit
from contracts.sagas import DefinitionView, HistoryPage, SagaView
from run.worker import WORKFLOWS, workflow_runner
from tests.support.eventually import eventually
from tests.support.gate import Moment
from tests.support.orders import an_order
from tests.support.world import World, open_world
from workflows.converter import DATA_CONVERTER
from workflows.names import RETURN_SAGA, TASK_QUEUE
from workflows.return_saga import RETURN_SAGA_DEFINITION

pytestmark = pytest.mark.integration

COMPENSATED = {"open_return": "compensated", "recall_shipment": "compensated"}


@pytest.fixture(scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with open_world(tmp_path_factory.mktemp("returns")) as world:
        world.worker(TASK_QUEUE)
        yield world


@pytest.fixture
def shop(world: World) -> "Shop":
    return Shop(world)


def fault(step: str, kind: str, times: int | str = "always", **more: Any) -> dict[str, Any]:
    return {"step": step, "kind": kind, "times": times, **more}


class Shop:
    """Who orders, and changes their mind."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.api = world.api

    async def order(self, **changes: Any) -> SagaView:
        response = await self.api.post("/orders", json=an_order(**changes), headers={"Prefer": "wait=25"})
        order = SagaView.model_validate_json(response.content)

        async def has_ended() -> bool:
            return (await self.view(order)).ended_at is not None

        await eventually(has_ended, within_s=60)
        return await self.view(order)

    async def post(
        self, order_id: object, body: dict[str, Any] | None = None, *, key: str | None = None, wait: int = 25
    ) -> httpx.Response:
        headers = {"Prefer": f"wait={wait}", "Idempotency-Key": key or str(uuid4())}
        return await self.api.post(f"/orders/{order_id}/return", json=body, headers=headers)

    async def give_back(self, order: SagaView, *faults: dict[str, Any], wait: int = 25, **more: Any) -> SagaView:
        response = await self.post(order.order_id, {"faults": faults, **more}, wait=wait)
        assert response.status_code in (200, 202), response.text
        return SagaView.model_validate_json(response.content)

    async def view(self, saga: SagaView) -> SagaView:
        return SagaView.model_validate_json((await self.api.get(saga.links.self)).content)

    async def until(self, saga: SagaView, status: str) -> SagaView:
        async def has_status() -> bool:
            view = await self.view(saga)
            assert view.status == status, view
            return True

        await eventually(has_status, within_s=30)
        return await self.view(saga)

    async def decide(self, saga: SagaView, step: str, decision: str) -> httpx.Response:
        body = {"step": step, "decision": decision, "reason": "a test says so"}
        return await self.api.post(f"{saga.links.self}/decisions", json=body)

    async def assert_clean(self, *sagas: SagaView) -> None:
        for saga in sagas:
            response = await self.api.get(f"{saga.links.self}/audit")
            assert response.status_code == 200, response.text
            audit = Audit.model_validate_json(response.content)
            assert audit.clean, (saga.saga_id, [verdict for verdict in audit.verdicts if not verdict.holds])

    async def state(self, service: str, order: SagaView) -> dict[str, Any]:
        stream = await self.world_services(service, f"/streams/{order.order_id}")
        return dict(stream["state"])

    async def world_services(self, service: str, path: str) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False) as http:
            return dict((await http.get(f"{self.world.services[service]}{path}")).json())

    async def facts(self, order: SagaView) -> tuple[str, str, int]:
        """What the three services have the order as: its status, its shipment's, and what was paid back."""
        states = [await self.state(service, order) for service in ("order", "shipping", "payment")]
        return states[0]["status"], states[1]["status"], states[2]["refunded_minor"]


def states(saga: SagaView) -> dict[str, str]:
    return {step.name: step.state.value for step in saga.steps}


AS_IT_WAS = ("confirmed", "dispatched", 0)
WAYS: dict[str, tuple[dict[str, Any], list[dict[str, Any]], tuple[str, str | None], tuple[str, str, int]]] = {
    "healthy": ({}, [], ("completed", None), ("returned", "returned", 2500)),
    "the card takes nothing": (
        {"payment_token": "tok_refund_refused"},
        [],
        ("compensated", "refused"),
        AS_IT_WAS,
    ),
    "refund refused": ({}, [fault("refund_payment", "refuse")], ("compensated", "refused"), AS_IT_WAS),
    "opening refused": ({}, [fault("open_return", "refuse")], ("compensated", "refused"), AS_IT_WAS),
    "recall refused": ({}, [fault("recall_shipment", "refuse")], ("compensated", "refused"), AS_IT_WAS),
    "opening's reply lost": ({}, [fault("open_return", "lost_reply")], ("compensated", "failed"), AS_IT_WAS),
    "recall down": ({}, [fault("recall_shipment", "error")], ("compensated", "failed"), AS_IT_WAS),
    "refund's reply lost twice": (
        {},
        [fault("refund_payment", "lost_reply", 2)],
        ("completed", None),
        ("returned", "returned", 2500),
    ),
    "all behind the pivot down for a while": (
        {},
        [fault("receive_shipment", "error", 2), fault("close_order", "lost_reply", 2)],
        ("completed", None),
        ("returned", "returned", 2500),
    ),
    "compensations' replies lost": (
        {},
        [
            fault("refund_payment", "refuse"),
            fault("open_return", "lost_reply", 2, phase="compensation"),
            fault("recall_shipment", "lost_reply", 2, phase="compensation"),
        ],
        ("compensated", "refused"),
        AS_IT_WAS,
    ),
}


@pytest.mark.parametrize("way", WAYS)
async def test_return_when_it_goes_a_way_then_told_rightly_and_all_is_clean(shop: Shop, way: str) -> None:
    changes, faults, expected, facts = WAYS[way]
    order = await shop.order(**changes)

    returned = await shop.give_back(order, *faults)

    assert (returned.status, returned.cause) == expected, returned
    assert (returned.order_id, returned.total_minor, returned.currency) == (order.order_id, 2500, "EUR")
    assert returned.saga_id == f"return-{returned.links.self.removeprefix('/returns/')}"
    assert await shop.facts(order) == facts
    await shop.assert_clean(returned, order)


class TestRefused:
    async def test_refund_when_refused_then_both_of_the_group_are_compensated(self, shop: Shop) -> None:
        order = await shop.order(payment_token="tok_refund_refused")

        returned = await shop.give_back(order)

        assert returned.failure is not None
        assert (returned.failure.step, returned.failure.code) == ("refund_payment", "REFUND_REFUSED")
        assert states(returned) == {
            **COMPENSATED,
            "refund_payment": "refused",
            "receive_shipment": "pending",
            "close_order": "pending",
        }

    async def test_return_when_the_order_was_rejected_then_the_saga_is_refused(self, shop: Shop) -> None:
        order = await shop.order(payment_token="tok_declined")

        returned = await shop.give_back(order)

        assert returned.failure is not None
        assert (returned.status, returned.failure.code) == ("compensated", "ORDER_NOT_CONFIRMED")
        assert states(returned)["open_return"] == states(returned)["recall_shipment"] == "refused"
        await shop.assert_clean(returned, order)

    async def test_return_when_compensated_then_another_may_follow_and_no_third(self, shop: Shop) -> None:
        order = await shop.order()
        first = await shop.give_back(order, fault("refund_payment", "refuse"))

        second, third = await shop.give_back(order), await shop.give_back(order)

        assert (first.status, second.status, third.status) == ("compensated", "completed", "compensated")
        assert third.failure is not None
        assert third.failure.code == "ALREADY_RETURNED"
        assert await shop.facts(order) == ("returned", "returned", 2500)
        await shop.assert_clean(first, second, third, order)

    async def test_returns_when_several_want_one_order_at_once_then_never_two_refunds(self, shop: Shop) -> None:
        order = await shop.order()

        returns = await asyncio.gather(*(shop.give_back(order) for _ in range(6)))

        completed = [one for one in returns if one.status == "completed"]
        assert len(completed) <= 1
        assert {one.status.value for one in returns} <= {"completed", "compensated"}
        assert await shop.facts(order) == (("returned", "returned", 2500) if completed else AS_IT_WAS)
        await shop.assert_clean(*returns, order)

    async def test_deadline_when_it_passes_before_the_refund_then_compensated(self, shop: Shop) -> None:
        order = await shop.order()

        returned = await shop.give_back(order, fault("recall_shipment", "slow", delay_ms=1500), deadline_s=1)

        assert (returned.status, returned.cause) == ("compensated", "deadline")
        assert states(returned)["refund_payment"] == "nothing_to_undo"
        await shop.assert_clean(returned, order)


class TestCancel:
    async def test_cancel_when_in_flight_then_effective_and_all_is_as_before(self, shop: Shop) -> None:
        order = await shop.order()
        returned = await shop.give_back(order, fault("recall_shipment", "error"), wait=0, policy=PATIENT)
        await eventually(lambda: is_durable(shop, returned, "recall_shipment"))

        response = await shop.api.post(f"{returned.links.self}/cancel")

        assert response.status_code == 202
        ended = await shop.until(returned, "compensated")
        assert (ended.cause, ended.cancel) == ("cancelled", "effective")
        assert states(ended)["refund_payment"] == "nothing_to_undo"
        assert await shop.facts(order) == AS_IT_WAS
        await shop.assert_clean(ended, order)

    async def test_cancel_when_paid_back_then_too_late_and_it_completes(self, shop: Shop) -> None:
        order = await shop.order()
        returned = await shop.give_back(order, fault("close_order", "error", 20), wait=0)
        await eventually(lambda: is_durable(shop, returned, "close_order"))

        response = await shop.api.post(f"{returned.links.self}/cancel")

        assert (response.status_code, response.json()["code"]) == (409, "TOO_LATE")
        assert response.json()["detail"] == "refund_payment has happened, so the saga only goes forward now"
        await shop.assert_clean(order)  # while the return is under way
        ended = await shop.until(returned, "completed")
        await shop.assert_clean(ended, order)


class TestStuck:
    async def test_step_when_stuck_behind_the_pivot_and_skipped_then_forced_with_its_residue(self, shop: Shop) -> None:
        order = await shop.order()
        returned = await shop.give_back(order, fault("receive_shipment", "error"), wait=0)
        stuck = await shop.until(returned, "stuck")
        await shop.assert_clean(stuck, order)

        response = await shop.decide(returned, "receive_shipment", "skip")

        assert response.status_code == 202, response.text
        ended = await shop.until(returned, "forced")
        assert [(one.step, one.phase) for one in ended.residue] == [("receive_shipment", "action")]
        assert states(ended)["close_order"] == "succeeded"
        assert await shop.facts(order) == ("returned", "recalled", 2500)
        await shop.assert_clean(ended, order)

    async def test_compensation_when_stuck_then_the_other_one_runs_and_a_decision_ends_it(self, shop: Shop) -> None:
        order = await shop.order()
        faults = [fault("refund_payment", "refuse"), fault("recall_shipment", "error", phase="compensation")]
        returned = await shop.give_back(order, *faults, wait=0)
        stuck = await shop.until(returned, "stuck")

        response = await shop.decide(returned, "recall_shipment", "skip")

        assert response.status_code == 202, response.text
        ended = await shop.until(returned, "forced")
        assert states(stuck)["open_return"] == "compensated"
        assert [(one.step, one.phase) for one in ended.residue] == [("recall_shipment", "compensation")]
        assert await shop.facts(order) == ("confirmed", "recalled", 0)
        await shop.assert_clean(ended, order)

    async def test_refund_when_stuck_and_given_up_then_fenced_and_compensated(self, shop: Shop) -> None:
        order = await shop.order()
        returned = await shop.give_back(order, fault("refund_payment", "error"), wait=0)
        await shop.until(returned, "stuck")

        response = await shop.decide(returned, "refund_payment", "give_up")

        assert response.status_code == 202, response.text
        ended = await shop.until(returned, "compensated")
        assert (ended.cause, states(ended)["refund_payment"]) == ("failed", "nothing_to_undo")
        await shop.assert_clean(ended, order)

    async def test_decision_when_the_step_is_none_of_a_return_then_unknown(self, shop: Shop) -> None:
        returned = await shop.give_back(await shop.order())

        response = await shop.decide(returned, "capture_payment", "retry")

        assert (response.status_code, response.json()["code"]) == (422, "UNKNOWN_STEP")
        assert response.json()["detail"].endswith("see /sagas/return")


class TestRequest:
    async def test_post_when_sent_again_then_the_same_saga_and_another_body_is_turned_down(self, shop: Shop) -> None:
        order, other, key = await shop.order(), await shop.order(), str(uuid4())
        first = await shop.post(order.order_id, key=key)

        again = await shop.post(order.order_id, {}, key=key)
        another = await shop.post(order.order_id, {"deadline_s": 7}, key=key)
        of_another = await shop.post(other.order_id, key=key)

        assert (first.status_code, again.status_code) == (200, 200)
        assert first.json()["saga_id"] == again.json()["saga_id"] != of_another.json()["saga_id"]
        assert first.headers["Location"] == first.json()["links"]["self"]
        assert first.headers["Idempotency-Key"] == key
        assert (another.status_code, another.json()["code"]) == (422, "KEY_REUSED")

    async def test_post_when_it_need_not_wait_then_202_and_where_to_look(self, shop: Shop) -> None:
        order = await shop.order()

        response = await shop.api.post(f"/orders/{order.order_id}/return")

        assert response.status_code == 202
        location = response.headers["Location"]
        assert location == f"/returns/{UUID(location.removeprefix('/returns/'))}"
        await shop.until(SagaView.model_validate_json(response.content), "completed")

    async def test_post_when_the_order_is_unknown_then_404(self, shop: Shop) -> None:
        for order_id in (uuid4(), "nonsense"):
            response = await shop.post(order_id)

            assert (response.status_code, response.json()["code"]) == (404, "ORDER_NOT_FOUND")

    async def test_post_when_the_order_was_never_placed_then_409(self, shop: Shop) -> None:
        order = await shop.order(faults=[fault("place_order", "error")])

        response = await shop.post(order.order_id)

        assert (response.status_code, response.json()["code"]) == (409, "ORDER_NOT_PLACED")

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            ({"faults": [fault("capture_payment", "error")]}, "INVALID_FAULT"),
            ({"faults": [fault("refund_payment", "refuse", phase="compensation")]}, "INVALID_FAULT"),
            ({"deadline_s": 0}, "MALFORMED"),
            ({"lines": []}, "MALFORMED"),
        ],
    )
    async def test_post_when_the_body_makes_no_sense_then_422(
        self, shop: Shop, body: dict[str, Any], code: str
    ) -> None:
        response = await shop.post((await shop.order()).order_id, body)

        assert (response.status_code, response.json()["code"]) == (422, code)

    @pytest.mark.parametrize("path", ["", "/history", "/audit", "/faults", "/request"])
    async def test_get_when_there_is_no_such_return_then_404(self, shop: Shop, path: str) -> None:
        for return_id in (uuid4(), "nonsense"):
            response = await shop.api.get(f"/returns/{return_id}{path}")

            assert (response.status_code, response.json()["code"]) == (404, "RETURN_NOT_FOUND")


class TestTold:
    async def test_history_when_completed_then_a_story_and_replayable(self, shop: Shop) -> None:
        returned = await shop.give_back(await shop.order(), fault("refund_payment", "lost_reply", 1))

        page = HistoryPage.model_validate_json((await shop.api.get(returned.links.history)).content)
        whole = (await shop.api.get(f"{returned.links.history}?format=temporal")).text

        told = [entry.what for entry in page.entries]
        assert (page.order_id, page.saga_id) == (returned.order_id, returned.saga_id)
        assert told[0] == "The saga of the return of an order over 25.00 EUR started."
        assert page.entries[0].detail == "1 faults are to be injected"
        assert told[-1] == "The saga completed."
        replayer = Replayer(workflows=WORKFLOWS, workflow_runner=workflow_runner(), data_converter=DATA_CONVERTER)
        await replayer.replay_workflow(WorkflowHistory.from_json(returned.saga_id, whole))

    async def test_faults_when_enacted_then_counted_and_the_request_can_be_sent_again(self, shop: Shop) -> None:
        order = await shop.order()
        returned = await shop.give_back(order, fault("open_return", "error", 1), fault("refund_payment", "refuse", 1))

        faults = (await shop.api.get(f"{returned.links.self}/faults")).json()
        request = (await shop.api.get(f"{returned.links.self}/request")).json()
        again = await shop.post(order.order_id, request)

        assert [(one["step"], one["enacted"]) for one in faults] == [("open_return", 1), ("refund_payment", 1)]
        assert again.json()["status"] == "compensated"
        assert again.json()["saga_id"] != returned.saga_id

    async def test_definition_when_asked_then_as_the_saga_runs(self, shop: Shop) -> None:
        definition = DefinitionView.model_validate_json((await shop.api.get("/sagas/return")).content)

        assert definition == RETURN_SAGA_DEFINITION.view()
        assert [[step.name for step in place] for place in definition.places] == [
            ["open_return", "recall_shipment"],
            ["refund_payment"],
            ["receive_shipment", "close_order"],
        ]

    async def test_web_ui_when_looked_at_then_tells_what_is_returned(self, shop: Shop) -> None:
        returned = await shop.give_back(await shop.order(customer_id="cust-who-returns"))

        handle = shop.world.client.get_workflow_handle(returned.saga_id)
        description = await handle.describe()

        assert description.workflow_type == RETURN_SAGA
        assert await description.static_summary() == "Return of an order of cust-who-returns: 25.00 EUR"
        assert str(returned.order_id) in (await description.static_details() or "")
        attributes = {pair.key.name: pair.value for pair in description.typed_search_attributes}
        assert (attributes["SagaStatus"], attributes["CustomerId"]) == ("completed", "cust-who-returns")

    async def test_read_models_when_returned_then_soon_tell_of_it(self, shop: Shop) -> None:
        customer = f"cust-{uuid4().hex}"
        order = await shop.order(customer_id=customer)
        await shop.give_back(order)

        async def told() -> bool:
            listed = (await shop.api.get("/orders", params={"customer": customer, "status": "returned"})).json()
            assert [one["order_id"] for one in listed["orders"]] == [str(order.order_id)]
            (one,) = listed["orders"]
            assert (one["captured_minor"], one["refunded_minor"], one["shipment"]) == (2500, 2500, "returned")
            return True

        await eventually(told)
        stock = (await shop.api.get("/stock/BOOK-1")).json()
        assert stock["received"] == stock["on_hand"] + stock["booked"] + stock["dispatched"] - stock["taken_back"]
        assert stock["taken_back"] >= 2
        money = (await shop.api.get("/money")).json()
        assert 2500 <= money[0]["refunded_minor"] <= money[0]["captured_minor"]
        events = (await shop.api.get(f"/orders/{order.order_id}/events")).json()["events"]
        assert {"ReturnOpened", "ShipmentRecalled", "PaymentRefunded", "StockTakenBack", "OrderReturned"} <= {
            event["type"] for event in events
        }


class TestInFlight:
    async def test_refund_when_its_reply_is_on_the_way_then_the_orders_audit_waits_with_its_verdict(
        self, shop: Shop
    ) -> None:
        order = await shop.order()
        returned = await shop.give_back(order, fault("open_return", "slow", 1, delay_ms=800), wait=0)
        hold = shop.world.gate.hold(returned.saga_id, "receive-shipment", Moment.BEFORE)
        try:
            await asyncio.wait_for(hold.arrived.wait(), 20)
            await shop.assert_clean(await shop.view(returned), order)
        finally:
            hold.released.set()
        await shop.until(returned, "completed")


PATIENT = {"action_attempts": 50, "retry_initial_s": 0.2, "retry_max_s": 0.5}


async def is_durable(shop: Shop, saga: SagaView, step: str) -> bool:
    return any(one.name == step and one.path == "durable" for one in (await shop.view(saga)).steps)
