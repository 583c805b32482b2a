"""The view's step states, folded from the history, and the kernel's own, which the Web UI shows, are the same."""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest
from temporalio.api.sdk.v1 import WorkflowMetadata

from contracts.sagas import SagaStatus, StepState
from contracts.wire import StepOutcome
from tests.integration.api.bench import ApiBench
from tests.support.eventually import eventually
from tests.support.order_world import ACCEPTED, ALREADY, Move
from workflows.names import STEP_OUTCOME

pytestmark = pytest.mark.integration

SCRIPTS: dict[str, tuple[SagaStatus, dict[str, Move]]] = {
    "healthy": (SagaStatus.COMPLETED, {}),
    "refused at the first step": (SagaStatus.COMPENSATED, {"place_order": "!INVALID_ORDER"}),
    "refused in the middle": (SagaStatus.COMPENSATED, {"authorize_payment": "!CARD_DECLINED"}),
    "refused at the last before the pivot": (SagaStatus.COMPENSATED, {"book_shipment": "!OUT_OF_STOCK"}),
    "refused at the pivot": (SagaStatus.COMPENSATED, {"capture_payment": "!AUTHORIZATION_EXPIRED"}),
    "undone by another run": (SagaStatus.COMPENSATED, {"book_shipment": "!ALREADY_COMPENSATED"}),
    "fenced by another run": (SagaStatus.COMPENSATED, {"capture_payment": "!ALREADY_COMPENSATED"}),
    "failed at the first step": (SagaStatus.COMPENSATED, {"place_order": "DOWN"}),
    "failed in the middle": (SagaStatus.COMPENSATED, {"book_shipment": "DOWN"}),
    "failed, yet the pivot has happened": (
        SagaStatus.COMPLETED,
        {"authorize_payment": "DOWN", "abandon_capture": ALREADY},
    ),
}
STUCK: dict[str, tuple[SagaStatus, dict[str, Move], str, str]] = {
    "compensation skipped": (
        SagaStatus.FORCED,
        {"book_shipment": "!OUT_OF_STOCK", "release_payment": "DOWN"},
        "authorize_payment",
        "skip",
    ),
    "refused compensation skipped": (
        SagaStatus.FORCED,
        {"book_shipment": "DOWN", "release_payment": "!PAYMENT_ALREADY_CAPTURED"},
        "authorize_payment",
        "skip",
    ),
    "retriable skipped": (SagaStatus.FORCED, {"confirm_order": "DOWN"}, "confirm_order", "skip"),
    "pivot given up": (SagaStatus.COMPENSATED, {"capture_payment": "DOWN"}, "capture_payment", "give_up"),
    "pivot given up, yet it has happened": (
        SagaStatus.COMPLETED,
        {"capture_payment": "DOWN", "abandon_capture": ALREADY},
        "capture_payment",
        "give_up",
    ),
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_states_when_ended_then_those_of_the_kernel(api: ApiBench, name: str) -> None:
    status, moves = SCRIPTS[name]

    order_id = await start(api, moves)

    assert await folded(api, order_id, status) == await drawn(api, order_id)


@pytest.mark.parametrize("name", STUCK)
async def test_states_when_stuck_and_decided_on_then_those_of_the_kernel(api: ApiBench, name: str) -> None:
    status, moves, step, decision = STUCK[name]
    order_id = await start(api, moves)
    at_first = await folded(api, order_id, SagaStatus.STUCK), await drawn(api, order_id)

    await api.http.post(f"/orders/{order_id}/decisions", json={"step": step, "decision": decision, "reason": "x"})

    assert await folded(api, order_id, status) == await drawn(api, order_id)
    assert at_first[0][step] is at_first[1][step] is StepState.STUCK


async def cancel(api: ApiBench, order_id: str) -> None:
    async def is_held_up() -> bool:
        return await api.is_durable(order_id, "book_shipment") or await _is_waiting(api, order_id)

    await eventually(is_held_up)
    await api.http.post(f"/orders/{order_id}/cancel")


async def let_time_pass(api: ApiBench, order_id: str) -> None:
    """The deadline does the rest."""


@pytest.mark.parametrize("moves", [{"book_shipment": "DOWN"}, {"book_shipment": ACCEPTED}], ids=["down", "accepted"])
@pytest.mark.parametrize("cut_short", [cancel, let_time_pass])
async def test_states_when_cut_short_then_those_of_the_kernel(
    api: ApiBench, moves: dict[str, Move], cut_short: Callable[[ApiBench, str], Awaitable[None]]
) -> None:
    order_id = await start(api, moves, **({"deadline_s": 0.4} if cut_short is let_time_pass else {}))

    await cut_short(api, order_id)

    assert await folded(api, order_id, SagaStatus.COMPENSATED) == await drawn(api, order_id)


@pytest.mark.parametrize("refusal", [None, "UNDELIVERABLE_ADDRESS"])
async def test_states_when_an_event_brings_the_outcome_then_those_of_the_kernel(
    api: ApiBench, refusal: str | None
) -> None:
    order_id = await start(api, {"book_shipment": ACCEPTED})
    await eventually(lambda: _is_waiting(api, order_id))
    waiting = await folded(api, order_id, SagaStatus.RUNNING), await drawn(api, order_id)

    handle = api.client.get_workflow_handle(f"order-{order_id}")
    await handle.signal(STEP_OUTCOME, StepOutcome(step="book_shipment", event="ShipmentBooked", refusal=refusal))

    status = SagaStatus.COMPENSATED if refusal else SagaStatus.COMPLETED
    assert await folded(api, order_id, status) == await drawn(api, order_id)
    assert waiting[0] == waiting[1]


async def _is_waiting(api: ApiBench, order_id: str) -> bool:
    return (await drawn(api, order_id))["book_shipment"] is StepState.WAITING


async def start(api: ApiBench, moves: dict[str, Move], **changes: Any) -> str:
    key = f"states-{uuid4()}"
    for activity, move in moves.items():
        api.always(key, activity, move)
    return str((await api.order(key=key, **changes)).json()["order_id"])


async def folded(api: ApiBench, order_id: str, status: SagaStatus) -> dict[str, StepState]:
    return {step.name: step.state for step in (await api.until(order_id, status)).steps}


async def drawn(api: ApiBench, order_id: str) -> dict[str, StepState]:
    """The table that the Web UI shows, as the workflow itself answers for it."""
    handle = api.client.get_workflow_handle(f"order-{order_id}")
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    rows = re.findall(r"^\| (\w+) \| \u2003(\w+) \|$", metadata.current_details, re.MULTILINE)
    return {name: StepState(state) for name, state in rows}


async def test_pivot_when_refused_after_it_was_stuck_then_the_view_tells_of_the_refusal(api: ApiBench) -> None:
    key = f"stuck-then-refused-{uuid4()}"
    api.script(key, "capture_payment", *["DOWN"] * 8, "!AUTHORIZATION_EXPIRED")
    order_id = (await api.order(key=key)).json()["order_id"]

    view = await api.until(order_id, SagaStatus.COMPENSATED)

    story = (await api.http.get(f"/orders/{order_id}/history")).json()["entries"]
    assert (view.cause, view.failure and view.failure.code) == ("refused", "AUTHORIZATION_EXPIRED")
    assert [step.state for step in view.steps[:4]] == ["compensated"] * 3 + ["refused"]
    assert "The saga began to unwind, because a step was refused at capture_payment." in [one["what"] for one in story]
