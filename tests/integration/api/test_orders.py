"""Orders through the API, on a real Temporal dev server."""

import asyncio

import pytest

from api.idempotency import order_id_of
from contracts.policy import Policy
from contracts.sagas import CancelState, Cause, SagaStatus, SagaView, StepState
from tests.integration.api.bench import QUEUE, ApiBench
from tests.support.eventually import eventually
from tests.support.orders import an_order
from workflows import names

pytestmark = pytest.mark.integration


def states(view: SagaView) -> dict[str, StepState]:
    return {step.name: step.state for step in view.steps}


class TestStarting:
    async def test_order_when_not_waited_for_then_accepted_with_its_place(self, api: ApiBench) -> None:
        response = await api.order()

        body = response.json()
        assert response.status_code == 202
        assert response.headers["Location"] == f"/orders/{body['order_id']}" == body["links"]["self"]
        assert body["saga_id"] == f"order-{body['order_id']}"
        assert body["total_minor"] == 2500
        assert body["links"]["temporal_ui"].endswith(f"/namespaces/amends/workflows/{body['saga_id']}")

    async def test_order_when_waited_for_then_answered_with_its_end(self, api: ApiBench) -> None:
        response = await api.order(wait=20)

        view = SagaView.model_validate_json(response.content)
        assert response.status_code == 200
        assert response.headers["Preference-Applied"] == "wait=20"
        assert view.status is SagaStatus.COMPLETED
        assert set(states(view).values()) == {StepState.SUCCEEDED}
        assert {(step.attempts, step.path) for step in view.steps} == {(1, "fast")}
        assert view.ended_at is not None

    async def test_wait_when_the_saga_takes_longer_then_accepted(self, api: ApiBench) -> None:
        api.always("slow-1", "confirm_order", "DOWN")

        response = await api.order(key="slow-1", wait=1)

        assert response.status_code == 202
        assert response.headers["Preference-Applied"] == "wait=1"

    async def test_key_when_absent_then_made_up_and_good_for_a_repeat(self, api: ApiBench) -> None:
        first = await api.http.post("/orders", json=an_order())
        key = first.headers["Idempotency-Key"]

        second = await api.order(key=key)

        assert first.json()["order_id"] == second.json()["order_id"]

    async def test_same_key_and_body_when_at_once_then_one_saga(self, api: ApiBench) -> None:
        responses = await asyncio.gather(*(api.order(key="same-1", wait=20) for _ in range(10)))

        assert {response.status_code for response in responses} == {200}
        assert len({response.json()["order_id"] for response in responses}) == 1
        assert len(api.world.calls[responses[0].json()["saga_id"]]) == 6

    async def test_same_key_when_the_body_differs_then_key_reused(self, api: ApiBench) -> None:
        await api.order(key="other-1")

        response = await api.order(key="other-1", customer_id="somebody else")

        assert (response.status_code, response.json()["code"]) == (422, "KEY_REUSED")
        assert response.headers["Idempotency-Key"] == "other-1"

    async def test_deadline_when_given_then_the_sagas(self, api: ApiBench) -> None:
        hold = api.world.holds[f"order-{order_id_of('deadline-1')}", "book_shipment"] = asyncio.Event()

        response = await api.order(key="deadline-1", wait=20, deadline_s=0.2)
        hold.set()

        view = SagaView.model_validate_json(response.content)
        assert (view.status, view.cause) == (SagaStatus.COMPENSATED, Cause.DEADLINE)


class TestSeeing:
    async def test_refusal_when_over_then_told_where_and_why(self, api: ApiBench) -> None:
        api.always("refused-1", "book_shipment", "!OUT_OF_STOCK")

        view = SagaView.model_validate_json((await api.order(key="refused-1", wait=20)).content)

        assert (view.status, view.cause) == (SagaStatus.COMPENSATED, Cause.REFUSED)
        assert view.failure is not None
        assert (view.failure.step, view.failure.code) == ("book_shipment", "OUT_OF_STOCK")
        assert states(view) == {
            "place_order": StepState.COMPENSATED,
            "authorize_payment": StepState.COMPENSATED,
            "book_shipment": StepState.REFUSED,
            "capture_payment": StepState.PENDING,
            "confirm_order": StepState.PENDING,
            "dispatch_shipment": StepState.PENDING,
        }

    async def test_failures_when_in_progress_then_attempts_and_next_one_shown(self, api: ApiBench) -> None:
        api.always("waiting-1", "confirm_order", "DOWN")
        order_id = (await api.order(key="waiting-1")).json()["order_id"]

        view = await api.until(order_id, SagaStatus.STUCK)

        step = next(step for step in view.steps if step.name == "confirm_order")
        assert step.state is StepState.STUCK
        assert step.attempts >= Policy().stuck_after
        assert step.path == "durable"
        assert step.last_failure == "scripted DOWN"
        assert view.failure is not None
        assert view.failure.code == "DOWN"

    async def test_unknown_order_then_404(self, api: ApiBench) -> None:
        response = await api.http.get("/orders/0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52")

        assert (response.status_code, response.json()["code"]) == (404, "ORDER_NOT_FOUND")


class TestCancelling:
    async def test_cancel_when_before_the_pivot_then_effective(self, api: ApiBench) -> None:
        hold = api.world.holds[f"order-{(order_id := order_id_of('cancel-1'))}", "book_shipment"] = asyncio.Event()
        await api.order(key="cancel-1")
        await eventually(lambda: api.is_durable(order_id, "book_shipment"))

        response = await api.http.post(f"/orders/{order_id}/cancel")
        again = await api.http.post(f"/orders/{order_id}/cancel")
        hold.set()

        assert (response.status_code, response.json()["cancel"]) == (202, "requested")
        assert again.status_code == 202
        view = await api.until(order_id, SagaStatus.COMPENSATED)
        assert (view.cause, view.cancel) == (Cause.CANCELLED, CancelState.EFFECTIVE)
        assert (await api.http.post(f"/orders/{order_id}/cancel")).status_code == 202

    async def test_cancel_when_after_the_pivot_then_too_late(self, api: ApiBench) -> None:
        api.always("cancel-2", "confirm_order", "DOWN")
        order_id = (await api.order(key="cancel-2")).json()["order_id"]
        await api.until(order_id, SagaStatus.STUCK)

        response = await api.http.post(f"/orders/{order_id}/cancel")

        assert (response.status_code, response.json()["code"]) == (409, "TOO_LATE")

    async def test_cancel_when_unwinding_for_another_cause_then_too_late_from_either_side(self, api: ApiBench) -> None:
        api.always("cancel-3", "book_shipment", "!OUT_OF_STOCK")
        api.always("cancel-3", "release_payment", "!PAYMENT_ALREADY_CAPTURED")
        view = SagaView.model_validate_json((await api.order(key="cancel-3")).content)
        await api.until(view.order_id, SagaStatus.STUCK)

        response = await api.http.post(f"/orders/{view.order_id}/cancel")

        assert (response.status_code, response.json()["code"]) == (409, "TOO_LATE")
        assert "refused" in response.json()["detail"]
        assert (await api.view(view.order_id)).cancel is None

        await api.client.get_workflow_handle(view.saga_id).cancel()
        assert (await api.view(view.order_id)).cancel is CancelState.TOO_LATE

    async def test_cancel_when_completed_then_too_late(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]

        response = await api.http.post(f"/orders/{order_id}/cancel")

        assert (response.status_code, response.json()["code"]) == (409, "TOO_LATE")


async def test_order_when_started_then_found_in_temporal_by_what_people_know_of_it(api: ApiBench) -> None:
    view = SagaView.model_validate_json((await api.order(wait=20)).content)

    description = await api.client.get_workflow_handle(view.saga_id).describe()

    assert await description.static_summary() == "Order of cust-1: 2 × BOOK-1, 25.00 EUR"  # noqa: RUF001
    assert "| BOOK-1 | \u20032 | \u200312.50 EUR |" in (await description.static_details() or "")
    assert description.typed_search_attributes[names.CUSTOMER_ID] == "cust-1"
    assert description.typed_search_attributes[names.SAGA_STATUS] == "completed"
    assert description.task_queue == QUEUE


async def test_order_when_its_texts_are_as_long_as_can_be_then_taken(api: ApiBench) -> None:
    longest = "\U0001f600" * 200
    address = {"name": longest, "line1": longest, "city": longest}

    response = await api.order(
        wait=20,
        customer_id=longest,
        shipping_address={**an_order()["shipping_address"], **address},
        lines=[{"sku": f"S{number:03}" + "x" * 60, "quantity": 1, "unit_price_minor": 1} for number in range(100)],
    )

    assert response.status_code == 200, response.text
    view = SagaView.model_validate_json(response.content)
    assert view.status is SagaStatus.COMPLETED
    description = await api.client.get_workflow_handle(view.saga_id).describe()
    assert description.typed_search_attributes[names.CUSTOMER_ID] == "\U0001f600" * 170 + "…"


async def test_history_when_healthy_then_at_most_13_events_and_6_calls(api: ApiBench) -> None:
    view = SagaView.model_validate_json((await api.order(wait=20)).content)

    history = (await api.http.get(f"{view.links.history}?format=temporal")).json()

    assert len(history["events"]) <= 13
    assert len(api.world.calls[view.saga_id]) == 6
