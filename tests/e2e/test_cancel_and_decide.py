"""What customers and operators can do about an order that does not get on, over HTTP on the whole system."""

import asyncio
from typing import Any
from uuid import uuid4

import httpx
import pytest
from temporalio.client import WorkflowExecutionStatus

from contracts.faults import Phase
from contracts.sagas import CancelState, Cause, Residue, SagaStatus, SagaView, StepState
from tests.support.eventually import eventually
from tests.support.shop import Shop
from tests.support.system import System
from workflows.order_saga import ORDER_SAGA_DEFINITION

pytestmark = pytest.mark.e2e

STEPS = [step.name for step in ORDER_SAGA_DEFINITION.steps]
BEGUN = (StepState.STARTED, StepState.WAITING, StepState.STUCK, StepState.SUCCEEDED)
CANCELLED = 24
"""Orders that are cancelled somewhere on their way."""
OUT_OF_STOCK = {"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"}


def always_failing(step: str, phase: Phase = Phase.ACTION) -> dict[str, Any]:
    return {"step": step, "phase": phase, "kind": "error", "times": "always"}


async def stuck_order(shop: Shop, *faults: dict[str, Any]) -> SagaView:
    return await shop.until(await shop.order(faults=faults), SagaStatus.STUCK)


async def stuck_at_the_pivot(shop: Shop) -> SagaView:
    return await stuck_order(shop, always_failing("capture_payment"))


async def stuck_unwinding(shop: Shop) -> SagaView:
    return await stuck_order(shop, OUT_OF_STOCK, always_failing("authorize_payment", Phase.COMPENSATION))


async def stuck_after_the_pivot(shop: Shop) -> SagaView:
    return await stuck_order(shop, always_failing("dispatch_shipment"))


def state_of(order: SagaView, step: str) -> StepState:
    return next(each.state for each in order.steps if each.name == step)


async def assert_turned_down(response: httpx.Response, code: str) -> None:
    assert (response.status_code, response.json()["code"]) == (409, code), response.text


class TestCancel:
    async def test_order_when_held_up_at_the_pivot_is_cancelled(self, shop: Shop) -> None:
        order = await stuck_at_the_pivot(shop)

        response = await shop.cancel(order)

        assert response.status_code == 202
        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
        assert (ended.cause, ended.cancel) == (Cause.CANCELLED, CancelState.EFFECTIVE)
        assert await _temporal_status(shop, order) is WorkflowExecutionStatus.CANCELED

    async def test_order_when_a_service_is_frozen_is_cancelled_and_late_work_has_no_effect(
        self, system: System, shop: Shop
    ) -> None:
        sku = await shop.receive_stock(1)
        with system.frozen("shipping"):
            order = await shop.order(lines=[{"sku": sku, "quantity": 1, "unit_price_minor": 1250}])
            await eventually(lambda: _is_in_state(shop, order, "book_shipment", StepState.STARTED, StepState.WAITING))

            await shop.cancel(order)
            await shop.until(order, SagaStatus.UNWINDING, SagaStatus.STUCK)

        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
        assert (ended.cause, ended.cancel) == (Cause.CANCELLED, CancelState.EFFECTIVE)
        assert await shop.stock_of(sku) == {"received": 1, "on_hand": 1, "booked": 0, "dispatched": 0}

    async def test_cancel_when_asked_twice_is_one_cancel(self, shop: Shop) -> None:
        order = await stuck_at_the_pivot(shop)

        responses = [await shop.cancel(order) for _ in range(2)]
        await shop.until_clean(order, SagaStatus.COMPENSATED)
        responses.append(await shop.cancel(order))

        assert [response.status_code for response in responses] == [202, 202, 202]

    async def test_cancel_when_the_order_has_completed_is_too_late(self, shop: Shop) -> None:
        order = await shop.order(wait_s=30)

        await assert_turned_down(await shop.cancel(order), "TOO_LATE")

        assert (await shop.until_clean(order, SagaStatus.COMPLETED)).cancel is None

    async def test_cancel_when_the_order_was_refused_is_too_late(self, shop: Shop) -> None:
        order = await shop.order(wait_s=30, payment_token="tok_declined")

        await assert_turned_down(await shop.cancel(order), "TOO_LATE")

        assert (await shop.until_clean(order, SagaStatus.COMPENSATED)).cause is Cause.REFUSED

    async def test_cancel_when_sent_from_temporal_is_as_good_as_ours(self, shop: Shop) -> None:
        order = await stuck_at_the_pivot(shop)

        await (await shop.temporal()).get_workflow_handle(order.saga_id).cancel()

        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
        assert (ended.cause, ended.cancel) == (Cause.CANCELLED, CancelState.EFFECTIVE)
        assert await _temporal_status(shop, order) is WorkflowExecutionStatus.CANCELED

    async def test_cancel_when_the_pivot_has_happened_changes_nothing_from_either_side(self, shop: Shop) -> None:
        order = await stuck_after_the_pivot(shop)

        await assert_turned_down(await shop.cancel(order), "TOO_LATE")
        await (await shop.temporal()).get_workflow_handle(order.saga_id).cancel()
        decided = await shop.decide(order, "dispatch_shipment", "retry", without_faults=True)

        assert decided.status_code == 202, decided.text
        assert (await shop.until_clean(order, SagaStatus.COMPLETED)).cancel is CancelState.TOO_LATE

    async def test_cancel_when_unwinding_already_loses_no_compensation(self, shop: Shop) -> None:
        order = await stuck_unwinding(shop)

        await (await shop.temporal()).get_workflow_handle(order.saga_id).cancel()
        await shop.decide(order, "authorize_payment", "retry", without_faults=True)

        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
        assert ended.cause is Cause.REFUSED
        assert await _temporal_status(shop, order) is WorkflowExecutionStatus.FAILED

    async def test_cancels_when_they_meet_orders_anywhere_end_as_they_were_answered(self, shop: Shop) -> None:
        sku = await shop.receive_stock(CANCELLED)

        async def order_and_cancel(step: str) -> tuple[int, SagaView]:
            # Whoever is held up at the pivot is there still when the cancel comes, however late that is.
            held_up = {"step": step, "kind": "error", "times": "always" if step == "capture_payment" else 2}
            order = await shop.order(lines=[{"sku": sku, "quantity": 1, "unit_price_minor": 1250}], faults=[held_up])
            await eventually(lambda: _is_in_state(shop, order, step, *BEGUN))
            return (await shop.cancel(order)).status_code, order

        steps = [STEPS[i % len(STEPS)] for i in range(CANCELLED)]
        answered = await asyncio.gather(*(order_and_cancel(step) for step in steps))

        ended = await shop.all_ended([order for _, order in answered])
        ends = [
            (code, order.status, order.cancel, order.cause) for (code, _), order in zip(answered, ended, strict=True)
        ]
        assert set(ends) <= {
            (202, SagaStatus.COMPENSATED, CancelState.EFFECTIVE, Cause.CANCELLED),
            # The pivot was on the wire, and happened.
            (202, SagaStatus.COMPLETED, CancelState.TOO_LATE, None),
            (409, SagaStatus.COMPLETED, CancelState.TOO_LATE, None),
            (409, SagaStatus.COMPLETED, None, None),
        }
        sold = [order for order in ended if order.status is SagaStatus.COMPLETED]
        assert 0 < len(sold) < CANCELLED
        expected = {"received": CANCELLED, "on_hand": CANCELLED - len(sold), "booked": 0, "dispatched": len(sold)}
        assert await shop.stock_of(sku) == expected


class TestDecision:
    async def test_retry_when_the_fault_is_gone_ends_it_compensated(self, shop: Shop) -> None:
        order = await stuck_unwinding(shop)
        assert state_of(order, "authorize_payment") is StepState.STUCK

        response = await shop.decide(order, "authorize_payment", "retry", without_faults=True)

        assert response.status_code == 202, response.text
        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
        assert state_of(ended, "authorize_payment") is StepState.COMPENSATED

    async def test_stuck_compensation_when_nobody_decides_keeps_no_other_from_running(self, shop: Shop) -> None:
        order = await stuck_unwinding(shop)

        await eventually(lambda: _is_in_state(shop, order, "place_order", StepState.COMPENSATED))
        assert (await shop.audit(order))["clean"]

        await shop.decide(order, "authorize_payment", "retry", without_faults=True)
        await shop.until_clean(order, SagaStatus.COMPENSATED)

    async def test_retry_when_the_fault_persists_is_stuck_again_and_can_be_decided_again(self, shop: Shop) -> None:
        order = await stuck_unwinding(shop)

        first = await shop.decide(order, "authorize_payment", "retry")

        assert first.status_code == 202, first.text
        # Until the retry has failed as well, there is nothing else to decide.
        await eventually(lambda: _is_taken(shop, order, "authorize_payment", "skip"))
        await shop.until_clean(order, SagaStatus.FORCED)

    async def test_skip_when_unwinding_ends_it_forced_with_the_residue_listed(self, shop: Shop) -> None:
        order = await stuck_unwinding(shop)

        response = await shop.decide(order, "authorize_payment", "skip")

        assert response.status_code == 202, response.text
        ended = await shop.until_clean(order, SagaStatus.FORCED)
        assert ended.residue == (Residue(step="authorize_payment", phase=Phase.COMPENSATION),)
        assert "authorize_payment (compensation) is listed, and is left" in _evidence(await shop.audit(order))
        assert await _temporal_status(shop, order) is WorkflowExecutionStatus.FAILED

    async def test_skip_when_going_forward_ends_it_forced_with_the_residue_listed(self, shop: Shop) -> None:
        order = await stuck_after_the_pivot(shop)

        response = await shop.decide(order, "dispatch_shipment", "skip")

        assert response.status_code == 202, response.text
        ended = await shop.until_clean(order, SagaStatus.FORCED)
        assert ended.residue == (Residue(step="dispatch_shipment", phase=Phase.ACTION),)

    async def test_give_up_when_the_pivot_never_happened_compensates(self, shop: Shop) -> None:
        order = await stuck_at_the_pivot(shop)

        response = await shop.decide(order, "capture_payment", "give_up")

        assert response.status_code == 202, response.text
        ended = await shop.until_clean(order, SagaStatus.COMPENSATED)
        assert ended.cause is Cause.FAILED

    async def test_give_up_when_the_pivot_had_happened_unnoticed_completes(self, shop: Shop) -> None:
        order = await stuck_order(shop, {"step": "capture_payment", "kind": "lost_reply", "times": "always"})

        response = await shop.decide(order, "capture_payment", "give_up")

        assert response.status_code == 202, response.text
        ended = await shop.until_clean(order, SagaStatus.COMPLETED)
        assert ended.cause is None

    async def test_decision_when_it_makes_no_sense_is_turned_down_and_changes_nothing(self, shop: Shop) -> None:
        at_pivot, unwinding = await stuck_at_the_pivot(shop), await stuck_unwinding(shop)

        for order, step, decision in [
            (at_pivot, "capture_payment", "skip"),
            (at_pivot, "book_shipment", "retry"),
            (unwinding, "authorize_payment", "give_up"),
            (unwinding, "place_order", "skip"),
            (unwinding, "capture_payment", "give_up"),
        ]:
            await assert_turned_down(await shop.decide(order, step, decision), "DECISION_NOT_POSSIBLE")

        await shop.decide(at_pivot, "capture_payment", "retry", without_faults=True)
        await shop.decide(unwinding, "authorize_payment", "retry", without_faults=True)
        await shop.until_clean(at_pivot, SagaStatus.COMPLETED)
        await shop.until_clean(unwinding, SagaStatus.COMPENSATED)
        await assert_turned_down(await shop.decide(at_pivot, "capture_payment", "retry"), "DECISION_NOT_POSSIBLE")

    async def test_decision_when_no_worker_runs_is_answered_503_and_taken_later(
        self, system: System, shop: Shop
    ) -> None:
        order, key = await stuck_unwinding(shop), str(uuid4())

        with system.frozen("worker"):
            unanswered = await shop.post_decision(order, "authorize_payment", "retry", without_faults=True, key=key)

        assert (unanswered.status_code, unanswered.json()["code"]) == (503, "NO_WORKER")
        again = await shop.decide(order, "authorize_payment", "retry", without_faults=True, key=key)
        assert again.status_code == 202, again.text
        await shop.until_clean(order, SagaStatus.COMPENSATED)
        story = await shop.story(order)
        assert len([entry for entry in story.entries if entry.outcome == "retry"]) == 1


async def _is_in_state(shop: Shop, order: SagaView, step: str, *states: StepState) -> bool:
    view = await shop.view(order)
    assert state_of(view, step) in states, view
    return True


async def _is_taken(shop: Shop, order: SagaView, step: str, decision: str) -> bool:
    response = await shop.decide(order, step, decision)
    assert response.status_code in (202, 409), response.text
    return response.status_code == 202


async def _temporal_status(shop: Shop, order: SagaView) -> WorkflowExecutionStatus | None:
    return (await (await shop.temporal()).get_workflow_handle(order.saga_id).describe()).status


def _evidence(audit: dict[str, Any]) -> list[str]:
    return [line for verdict in audit["verdicts"] for line in verdict["evidence"]]
