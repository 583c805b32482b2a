"""What Temporal has recorded about a saga, read into facts.

The fold and the story both start from here, so that nothing else needs to know how Temporal spells things. Reading is
pure and needs no worker. It never fails on an event that it does not know: newer servers write newer events.
"""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType, PendingActivityState, RetryState, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.api.workflow.v1 import PendingActivityInfo

from api.view.cancel_reason import attempts_in
from api.view.facts import (
    Answer,
    CancelAsked,
    Closed,
    Decided,
    Ending,
    Fact,
    FastAttempt,
    Half,
    Interrupting,
    Pending,
    Reset,
    Scheduled,
    Settled,
    Shown,
    Started,
    TaskDone,
    TaskFailed,
    TaskLost,
    Told,
    UnreadableHistory,
)
from contracts.faults import Phase
from contracts.sagas import RecordedDecision, SagaStatus
from contracts.wire import ALREADY_COMPENSATED, Outcome, Reply, StepOutcome
from workflows.names import DECIDE, SAGA_COMPENSATED, SAGA_FORCED, STEP_OUTCOME
from workflows.order_commands import OrderSagaInput
from workflows.saga.definition import SagaDefinition

LOCAL_ACTIVITY = "core_local_activity"
_INNOCENT = {
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_GRPC_MESSAGE_TOO_LARGE,
}
"""Tasks that the server made void for reasons of its own; no fault of workflow code, and tried again at once."""


def read_facts(events: Iterable[HistoryEvent], definition: SagaDefinition) -> list[Fact]:
    """The facts in the events, in their order.

    Raises:
        UnreadableHistory: the first event does not carry an order saga's input.
    """
    return list(_Reader(definition).read(events))


def read_pending(activities: Iterable[PendingActivityInfo]) -> list[Pending]:
    return [
        Pending(
            activity=activity.activity_type.name,
            attempt=activity.attempt,
            between_attempts=activity.state
            in (
                PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED,
                PendingActivityState.PENDING_ACTIVITY_STATE_PAUSED,
            ),
            last_failure=_failure_text(activity.last_failure) if activity.HasField("last_failure") else None,
            next_attempt_at=_time(activity.next_attempt_schedule_time)
            if activity.HasField("next_attempt_schedule_time")
            else None,
        )
        for activity in activities
    ]


class _Reader:
    def __init__(self, definition: SagaDefinition) -> None:
        self._halves: dict[str, tuple[Half, tuple[str, ...]]] = {}
        for step in definition.steps:
            self._halves[step.action.name] = Half(step.name, Phase.ACTION), step.action.refusals
            if step.undo:
                self._halves[step.undo.name] = Half(step.name, Phase.COMPENSATION), step.undo.refusals
        self._awaiting = {Half(step.name, Phase.ACTION) for step in definition.steps if step.done_by}
        self._scheduled: dict[int, str] = {}
        self._attempts: dict[int, int] = {}

    def read(self, events: Iterable[HistoryEvent]) -> Iterator[Fact]:
        for event in events:
            fact = self._fact(event, event.event_id, _time(event.event_time))
            if fact is not None:
                yield fact

    def _fact(self, event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
        match event.event_type:
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                return Started(at_id, at, _input(event))
            case EventType.EVENT_TYPE_MARKER_RECORDED:
                return self._fast(event, at_id, at)
            case EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES:
                fields = event.upsert_workflow_search_attributes_event_attributes.search_attributes.indexed_fields
                return Shown(at_id, at, {name: _text(payload) for name, payload in fields.items()})
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED:
                reason = event.workflow_execution_cancel_requested_event_attributes.cause
                return CancelAsked(at_id, at, reason, attempts_in(reason))
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED:
                return _decided(event, at_id, at)
            case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
                return self._told(event, at_id, at)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
                return TaskDone(at_id, at)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT:
                return TaskLost(at_id, at)
            case EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
                return _task_failed(event, at_id, at)
            case _:
                return self._durable(event, at_id, at) or _closed(event, at_id, at)

    def _fast(self, event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
        marker = event.marker_recorded_event_attributes
        if marker.marker_name != LOCAL_ACTIVITY:
            return None
        told = [json.loads(payload.data) for payload in marker.details["data"].payloads]
        activity = told[0].get("activity_type", "") if told else ""
        if activity not in self._halves:
            return None
        half, _ = self._halves[activity]
        if marker.HasField("failure"):
            return FastAttempt(at_id, at, half, self._failed(activity, marker.failure))
        return FastAttempt(at_id, at, half, _done(marker.details["result"].payloads))

    def _durable(self, event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
        match event.event_type:
            case EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name not in self._halves:
                    return None
                self._scheduled[at_id] = scheduled.activity_type.name
                half, _ = self._halves[scheduled.activity_type.name]
                return Scheduled(at_id, at, half, scheduled.retry_policy.maximum_attempts == 0)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                started = event.activity_task_started_event_attributes
                self._attempts[started.scheduled_event_id] = started.attempt
                return None
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED:
                asked = event.activity_task_cancel_requested_event_attributes
                activity = self._scheduled.get(asked.scheduled_event_id)
                return Interrupting(at_id, at, self._halves[activity][0]) if activity else None
            case EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                completed = event.activity_task_completed_event_attributes
                return self._settled(at_id, at, completed.scheduled_event_id, _done(completed.result.payloads))
            case EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED:
                scheduled_id = event.activity_task_canceled_event_attributes.scheduled_event_id
                return self._settled(at_id, at, scheduled_id, Answer(Ending.INTERRUPTED))
            case EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
                failed = event.activity_task_failed_event_attributes
                activity = self._scheduled.get(failed.scheduled_event_id, "")
                interrupted = failed.retry_state == RetryState.RETRY_STATE_CANCEL_REQUESTED
                answer = self._failed(activity, failed.failure, interrupted=interrupted)
                return self._settled(at_id, at, failed.scheduled_event_id, answer)
            case EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT:
                timed_out = event.activity_task_timed_out_event_attributes
                activity = self._scheduled.get(timed_out.scheduled_event_id, "")
                interrupted = timed_out.retry_state == RetryState.RETRY_STATE_CANCEL_REQUESTED
                answer = self._failed(activity, timed_out.failure, interrupted=interrupted)
                return self._settled(at_id, at, timed_out.scheduled_event_id, answer)
            case _:
                return None

    def _told(self, event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
        """None for what somebody sent by hand, and the workflow ignored, too."""
        signal = event.workflow_execution_signaled_event_attributes
        if signal.signal_name != STEP_OUTCOME:
            return None
        try:
            told = StepOutcome.model_validate_json(signal.input.payloads[0].data)
        except (IndexError, ValidationError):
            return None
        half = Half(told.step, Phase.ACTION)
        if half not in self._awaiting:
            return None
        answer = (
            Answer(Ending.REFUSED, code=told.refusal, message=told.message)
            if told.refusal
            else Answer(Ending.DONE, outcome=Outcome.DONE)
        )
        return Told(at_id, at, half, told.event, answer)

    def _settled(self, at_id: int, at: datetime, scheduled_id: int, answer: Answer) -> Fact | None:
        activity = self._scheduled.get(scheduled_id)
        if activity is None:
            return None
        half, _ = self._halves[activity]
        return Settled(at_id, at, half, scheduled_id, self._attempts.get(scheduled_id, 0), answer)

    def _failed(self, activity: str, failure: Failure, *, interrupted: bool = False) -> Answer:
        told = failure
        while not _tells(told) and told.HasField("cause"):
            told = told.cause
        if told.HasField("application_failure_info"):
            code = told.application_failure_info.type
            declared = (*self._halves.get(activity, (None, ()))[1], ALREADY_COMPENSATED)
            if told.application_failure_info.non_retryable and code in declared:
                return Answer(Ending.REFUSED, code=code, message=told.message)
        elif told.HasField("timeout_failure_info"):
            code = "TIMEOUT"
        else:
            code = "INTERRUPTED" if told.HasField("canceled_failure_info") else "FAILED"
        return Answer(Ending.INTERRUPTED if interrupted else Ending.FAILED, code=code, message=_failure_text(told))


def _tells(failure: Failure) -> bool:
    return failure.HasField("application_failure_info") or failure.HasField("timeout_failure_info")


def _failure_text(failure: Failure) -> str:
    if failure.HasField("timeout_failure_info"):
        return "no outcome in time; its effect is unknown"
    return failure.message


def _input(event: HistoryEvent) -> OrderSagaInput:
    payloads = event.workflow_execution_started_event_attributes.input.payloads
    try:
        return OrderSagaInput.model_validate_json(payloads[0].data)
    except (IndexError, ValidationError) as error:
        raise UnreadableHistory("the workflow was not started with an order saga's input") from error


def _done(payloads: Iterable[Payload]) -> Answer:
    for payload in payloads:
        reply = Reply.model_validate_json(payload.data)
        message = f"the injected fault {reply.injected} came with it" if reply.injected else ""
        return Answer(Ending.DONE, outcome=reply.outcome, message=message)
    return Answer(Ending.DONE)


def _decided(event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
    request = event.workflow_execution_update_accepted_event_attributes.accepted_request
    if request.input.name != DECIDE or not request.input.args.payloads:
        return None
    decision = RecordedDecision.model_validate_json(request.input.args.payloads[0].data)
    return Decided(at_id, at, decision, request.meta.update_id)


def _task_failed(event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
    failed = event.workflow_task_failed_event_attributes
    if failed.cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW:
        return Reset(at_id, at, failed.failure.message)
    if failed.cause in _INNOCENT:
        return None
    return TaskFailed(at_id, at, failed.failure.message)


def _closed(event: HistoryEvent, at_id: int, at: datetime) -> Fact | None:
    match event.event_type:
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            return Closed(at_id, at, SagaStatus.COMPLETED, "", {})
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED:
            return Closed(at_id, at, SagaStatus.COMPENSATED, "", {"cause": "cancelled"})
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED:
            failure = event.workflow_execution_failed_event_attributes.failure
            ends = {SAGA_COMPENSATED: SagaStatus.COMPENSATED, SAGA_FORCED: SagaStatus.FORCED}
            status = ends.get(failure.application_failure_info.type, SagaStatus.TERMINATED)
            payloads = failure.application_failure_info.details.payloads
            details = json.loads(payloads[0].data) if payloads and status is not SagaStatus.TERMINATED else {}
            return Closed(at_id, at, status, failure.message, details)
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED:
            reason = event.workflow_execution_terminated_event_attributes.reason
            return Closed(at_id, at, SagaStatus.TERMINATED, reason or "terminated", {})
        case EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT:
            return Closed(at_id, at, SagaStatus.TERMINATED, "timed out", {})
        case _:
            return None


def _text(payload: Payload) -> str | None:
    """A keyword attribute's value; an unset one comes as nothing, null or an empty list."""
    value = json.loads(payload.data) if payload.data else None
    return value if isinstance(value, str) and value else None


def _time(timestamp: Any) -> datetime:
    moment: datetime = timestamp.ToDatetime(tzinfo=UTC)
    return moment
