"""Records real histories of order sagas into `tests/histories/`, for the fold, the story and replays.

Run it with `python -m tests.support.record_histories` when what a saga writes into its history has changed on purpose.
"""

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import UUID, uuid5

from google.protobuf import json_format
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionRequest,
    DescribeWorkflowExecutionResponse,
    ResetWorkflowExecutionRequest,
)
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import SearchAttributePair, TypedSearchAttributes

from contracts.policy import Policy
from contracts.sagas import Decision, DecisionKind, SagaStatus
from contracts.wire import StepOutcome
from tests.support.engine import dev_server
from tests.support.eventually import eventually
from tests.support.order_world import ACCEPTED, ALREADY, NOTHING, Move, OrderWorld, order_worker
from tests.support.orders import parsed_order
from workflows import names
from workflows.order_commands import OrderSagaInput
from workflows.order_saga import OrderSaga
from workflows.policies import TASK_TIMEOUT
from workflows.saga.orchestrator import SagaResult

HISTORIES = Path(__file__).parents[1] / "histories"
_QUEUE = "recording"
_IDS = UUID("3c0e6d0e-1d5a-4a3e-8f7e-000000000000")
_POLICY = Policy(fast_timeout_s=0.5, attempt_timeout_s=1, retry_initial_s=0.02, retry_max_s=0.05, stuck_after=3)
Handle = WorkflowHandle[OrderSaga, SagaResult]
Scenario = Callable[["Recorder", str], Awaitable[Handle]]


class Recorder:
    def __init__(self, client: Client, world: OrderWorld) -> None:
        self.client = client
        self.world = world

    async def start(self, name: str, policy: Policy = _POLICY, **always: Move) -> Handle:
        order_id = uuid5(_IDS, name)
        for activity, move in always.items():
            self.world.always[names.saga_id_of(order_id), activity] = move
        order = parsed_order()
        return await self.client.start_workflow(
            OrderSaga.run,
            OrderSagaInput(order_id=order_id, order=order, policy=policy),
            id=names.saga_id_of(order_id),
            task_queue=_QUEUE,
            task_timeout=TASK_TIMEOUT,
            search_attributes=TypedSearchAttributes([SearchAttributePair(names.SAGA_STATUS, SagaStatus.RUNNING)]),
        )

    async def describe(self, handle: Handle) -> DescribeWorkflowExecutionResponse:
        return await self.client.workflow_service.describe_workflow_execution(
            DescribeWorkflowExecutionRequest(
                namespace=self.client.namespace, execution=WorkflowExecution(workflow_id=handle.id)
            )
        )

    async def until_pending(self, handle: Handle, activity: str, attempt: int = 1) -> None:
        async def pending() -> bool:
            activities = (await self.describe(handle)).pending_activities
            return any(one.activity_type.name == activity and one.attempt >= attempt for one in activities)

        await eventually(pending, within_s=20)

    async def until_stuck(self, handle: Handle) -> None:
        async def stuck() -> bool:
            info = (await self.describe(handle)).workflow_execution_info
            return b"stuck" in info.search_attributes.indexed_fields["SagaStatus"].data

        await eventually(stuck, within_s=20)

    async def decide(self, handle: Handle, step: str, decision: DecisionKind) -> None:
        body = Decision(step=step, decision=decision, reason="recorded")
        await handle.execute_update(names.DECIDE, body, id=f"decision-{step}", result_type=type(None))

    async def save(self, name: str, handle: Handle) -> None:
        """Writes what an API would get to read now: the history, and the description for what is pending."""
        current = self.client.get_workflow_handle(handle.id)
        record = {
            "workflow_id": handle.id,
            "history": (await current.fetch_history()).to_json_dict(),
            "description": json_format.MessageToDict(await self.describe(handle)),
        }
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        # Who recorded it is nobody's business.
        text = text.replace(self.client.identity, "recorder").replace(socket.gethostname(), "host")
        await asyncio.to_thread((HISTORIES / f"{name}.json").write_text, text)


async def ended(handle: Handle) -> Handle:
    try:
        await handle.result()
    except WorkflowFailureError:
        return handle
    return handle


async def completed(recorder: Recorder, name: str) -> Handle:
    return await ended(await recorder.start(name))


async def declined(recorder: Recorder, name: str) -> Handle:
    return await ended(await recorder.start(name, authorize_payment="!CARD_DECLINED"))


async def refused_at_the_pivot(recorder: Recorder, name: str) -> Handle:
    return await ended(await recorder.start(name, capture_payment="!AUTHORIZATION_EXPIRED"))


async def failed(recorder: Recorder, name: str) -> Handle:
    return await ended(await recorder.start(name, book_shipment="NO_REPLY"))


async def durable(recorder: Recorder, name: str) -> Handle:
    """Every step fails in its first attempt, and is done in its third."""
    saga_id = names.saga_id_of(uuid5(_IDS, name))
    for activity in ("place_order", "book_shipment", "capture_payment", "dispatch_shipment"):
        recorder.world.scripts[saga_id, activity] = ["NO_REPLY", "NO_REPLY"]
    return await ended(await recorder.start(name))


async def waiting(recorder: Recorder, name: str) -> Handle:
    policy = _POLICY.model_copy(update={"retry_initial_s": 30.0, "retry_max_s": 30.0})
    handle = await recorder.start(name, policy, book_shipment="NO_REPLY")
    await recorder.until_pending(handle, "book_shipment", attempt=2)
    return handle


async def deadline(recorder: Recorder, name: str) -> Handle:
    policy = _POLICY.model_copy(update={"deadline_s": 1.0, "action_attempts": 1000})
    return await ended(await recorder.start(name, policy, book_shipment="NO_REPLY"))


async def waiting_for_event(recorder: Recorder, name: str) -> Handle:
    handle = await recorder.start(name, book_shipment=ACCEPTED)

    async def waits() -> bool:
        return bool((await handle.fetch_history()).events[-1].HasField("timer_started_event_attributes"))

    await eventually(waits, within_s=20)
    return handle


async def completed_by_event(recorder: Recorder, name: str) -> Handle:
    handle = await waiting_for_event(recorder, name)
    await handle.signal(names.STEP_OUTCOME, StepOutcome(step="book_shipment", event="ShipmentBooked"))
    return await ended(handle)


async def refused_by_event(recorder: Recorder, name: str) -> Handle:
    handle = await waiting_for_event(recorder, name)
    recorder.world.always[handle.id, "cancel_shipment"] = NOTHING
    outcome = StepOutcome(
        step="book_shipment",
        event="ShipmentBookingRefused",
        refusal="UNDELIVERABLE_ADDRESS",
        message="no carrier delivers to AQ",
    )
    await handle.signal(names.STEP_OUTCOME, outcome)
    return await ended(handle)


async def asked_in_vain(recorder: Recorder, name: str) -> Handle:
    policy = _POLICY.model_copy(update={"deadline_s": 1.5, "ask_interval_s": 0.4})
    return await ended(await recorder.start(name, policy, book_shipment=ACCEPTED))


async def cancelled(recorder: Recorder, name: str) -> Handle:
    handle = await waiting(recorder, name)
    await handle.cancel()
    return await ended(handle)


async def cancel_requested(recorder: Recorder, name: str) -> Handle:
    """An attempt is on its way, so the saga waits for it before it gives in."""
    saga_id = names.saga_id_of(uuid5(_IDS, name))
    recorder.world.holds[saga_id, "book_shipment"] = asyncio.Event()
    policy = _POLICY.model_copy(update={"attempt_timeout_s": 20.0})
    handle = await recorder.start(name, policy)
    await recorder.until_pending(handle, "book_shipment")
    await handle.cancel()

    async def asked() -> bool:
        return (await recorder.describe(handle)).workflow_extended_info.cancel_requested

    await eventually(asked)
    return handle


async def cancelled_too_late(recorder: Recorder, name: str) -> Handle:
    handle = await recorder.start(name, confirm_order="NO_REPLY")
    await recorder.until_pending(handle, "confirm_order")
    await handle.cancel()
    del recorder.world.always[handle.id, "confirm_order"]
    return await ended(handle)


async def stuck_compensation(recorder: Recorder, name: str) -> Handle:
    handle = await recorder.start(name, book_shipment="NO_REPLY", release_payment="NO_REPLY")
    await recorder.until_stuck(handle)
    await recorder.until_pending(handle, "release_payment", attempt=2)
    return handle


async def refused_compensation(recorder: Recorder, name: str) -> Handle:
    handle = await recorder.start(name, book_shipment="NO_REPLY", release_payment="!PAYMENT_ALREADY_CAPTURED")
    await recorder.until_stuck(handle)
    return handle


async def forced(recorder: Recorder, name: str) -> Handle:
    handle = await stuck_compensation(recorder, name)
    await recorder.decide(handle, "authorize_payment", DecisionKind.SKIP)
    return await ended(handle)


async def retried_by_decision(recorder: Recorder, name: str) -> Handle:
    handle = await refused_compensation(recorder, name)
    del recorder.world.always[handle.id, "release_payment"]
    await recorder.decide(handle, "authorize_payment", DecisionKind.RETRY)
    return await ended(handle)


async def pivot_given_up(recorder: Recorder, name: str) -> Handle:
    handle = await recorder.start(name, capture_payment="NO_REPLY")
    await recorder.until_stuck(handle)
    await recorder.decide(handle, "capture_payment", DecisionKind.GIVE_UP)
    return await ended(handle)


async def stuck_at_the_end(recorder: Recorder, name: str) -> Handle:
    handle = await recorder.start(name, dispatch_shipment="NO_REPLY")
    await recorder.until_stuck(handle)
    await recorder.until_pending(handle, "dispatch_shipment", attempt=2)
    return handle


async def turned_forward(recorder: Recorder, name: str) -> Handle:
    """Cancelled, but the fence finds that the pivot has happened: by a worker that died before it could say so."""
    handle = await waiting(recorder, name)
    recorder.world.always[handle.id, "abandon_capture"] = ALREADY
    await handle.cancel()
    return await ended(handle)


async def terminated(recorder: Recorder, name: str) -> Handle:
    handle = await waiting(recorder, name)
    await handle.terminate(reason="wrong button")
    return handle


async def reset_after_completion(recorder: Recorder, name: str) -> Handle:
    """Reset to its first task after the deadline: the fence keeps it from undoing what it has completed."""
    policy = _POLICY.model_copy(update={"deadline_s": 0.5})
    handle = await ended(await recorder.start(name, policy))
    await asyncio.sleep(0.6)
    await recorder.client.workflow_service.reset_workflow_execution(
        ResetWorkflowExecutionRequest(
            namespace=recorder.client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=handle.id),
            reason="recorded",
            workflow_task_finish_event_id=4,
            request_id=name,
        )
    )
    return await ended(recorder.client.get_workflow_handle_for(OrderSaga.run, handle.id))


SCENARIOS: tuple[Scenario, ...] = (
    completed,
    declined,
    refused_at_the_pivot,
    failed,
    durable,
    waiting,
    waiting_for_event,
    completed_by_event,
    refused_by_event,
    asked_in_vain,
    deadline,
    cancelled,
    cancel_requested,
    cancelled_too_late,
    stuck_compensation,
    refused_compensation,
    forced,
    retried_by_decision,
    pivot_given_up,
    stuck_at_the_end,
    turned_forward,
    terminated,
    reset_after_completion,
)


async def main() -> None:
    HISTORIES.mkdir(exist_ok=True)
    chosen = sys.argv[1:]
    world = OrderWorld()
    async with dev_server() as environment, order_worker(environment.client, world, _QUEUE):
        recorder = Recorder(environment.client, world)
        for scenario in SCENARIOS:
            name = scenario.__name__
            if not chosen or name in chosen:
                await recorder.save(name, await scenario(recorder, name))
                print(name)
        for hold in world.holds.values():
            hold.set()


if __name__ == "__main__":
    asyncio.run(main())
