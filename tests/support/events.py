"""Temporal history events, built by hand, for what is hard to bring about."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from google.protobuf import json_format
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent

from contracts.sagas import SagaStatus
from tests.support.orders import parsed_order
from workflows.order_commands import OrderSagaInput

ORDER_ID = UUID("0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52")
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Events:
    """A history in the making. Each event comes one second after the one before."""

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        order = parsed_order()
        saga = OrderSagaInput(order_id=ORDER_ID, order=order)
        self.add("WORKFLOW_EXECUTION_STARTED", input={"payloads": [_payload(saga.model_dump(mode="json"))]})

    def add(self, event_type: str, **attributes: Any) -> int:
        """Adds an event of that type and returns its id."""
        event_id = len(self.events) + 1
        words = event_type.lower().split("_")
        name = words[0] + "".join(word.title() for word in words[1:]) + "EventAttributes"
        moment = (EPOCH + timedelta(seconds=event_id)).isoformat().replace("+00:00", "Z")
        told = {"eventId": str(event_id), "eventTime": moment, "eventType": f"EVENT_TYPE_{event_type}"}
        self.events.append(json_format.ParseDict({**told, name: attributes}, HistoryEvent()))
        return event_id

    def fast(self, activity: str, outcome: str = "done", failure: dict[str, Any] | None = None) -> "Events":
        details = {"data": {"payloads": [_payload({"activity_type": activity})]}}
        if failure is not None:
            self.add("MARKER_RECORDED", markerName="core_local_activity", details=details, failure=failure)
        else:
            result = {"result": {"payloads": [_payload({"outcome": outcome, "events": []})]}}
            self.add("MARKER_RECORDED", markerName="core_local_activity", details={**details, **result})
        return self

    def schedule(self, activity: str, attempts: int = 0) -> int:
        return self.add(
            "ACTIVITY_TASK_SCHEDULED",
            activityId=activity,
            activityType={"name": activity},
            retryPolicy={"maximumAttempts": attempts},
        )

    def complete(self, scheduled: int, outcome: str = "done", attempt: int = 1) -> "Events":
        self.add("ACTIVITY_TASK_STARTED", scheduledEventId=str(scheduled), attempt=attempt)
        result = {"payloads": [_payload({"outcome": outcome, "events": []})]}
        self.add("ACTIVITY_TASK_COMPLETED", scheduledEventId=str(scheduled), result=result)
        return self

    def fail(self, scheduled: int, code: str, *, attempt: int = 1, refused: bool = False) -> "Events":
        self.add("ACTIVITY_TASK_STARTED", scheduledEventId=str(scheduled), attempt=attempt)
        self.add(
            "ACTIVITY_TASK_FAILED",
            scheduledEventId=str(scheduled),
            failure=failure(code, refused=refused),
            retryState="RETRY_STATE_NON_RETRYABLE_FAILURE" if refused else "RETRY_STATE_MAXIMUM_ATTEMPTS_REACHED",
        )
        return self

    def cancel_between_attempts(self, scheduled: int) -> "Events":
        """Retries are stopped while none is on its way: no event tells how many there were."""
        self.add("ACTIVITY_TASK_CANCEL_REQUESTED", scheduledEventId=str(scheduled))
        self.add("ACTIVITY_TASK_CANCELED", scheduledEventId=str(scheduled))
        return self

    def decide(self, **decision: Any) -> "Events":
        told = {"name": "decide", "args": {"payloads": [_payload({"reason": "x", **decision})]}}
        request = {"meta": {"updateId": "decision-1"}, "input": told}
        self.add("WORKFLOW_EXECUTION_UPDATE_ACCEPTED", acceptedRequest=request)
        return self

    def signal(self, **outcome: Any) -> "Events":
        """An event's outcome reaches the saga."""
        told = {"payloads": [_payload(outcome)]}
        self.add("WORKFLOW_EXECUTION_SIGNALED", signalName="step_outcome", input=told)
        return self

    def show(self, status: SagaStatus | None = None, **attributes: str | None) -> "Events":
        shown: dict[str, str | None] = {**attributes, **({"SagaStatus": status} if status else {})}
        fields = {name: _payload(value) for name, value in shown.items()}
        self.add("UPSERT_WORKFLOW_SEARCH_ATTRIBUTES", searchAttributes={"indexedFields": fields})
        return self


def failure(code: str, *, refused: bool = False) -> dict[str, Any]:
    return {"message": f"scripted {code}", "applicationFailureInfo": {"type": code, "nonRetryable": refused}}


def _payload(value: Any) -> dict[str, Any]:
    message = Payload(data=json.dumps(value).encode())
    message.metadata["encoding"] = b"json/plain"
    return json_format.MessageToDict(message)
