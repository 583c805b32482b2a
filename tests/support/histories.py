"""The recorded histories, as the API would read them."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.client import WorkflowHistory

from api.view.facts import Fact
from api.view.fold import fold
from api.view.story import tell
from api.view.temporal_events import read_facts, read_pending
from contracts.sagas import HistoryEntry, Links, SagaView
from workflows.names import RETURN_PREFIX
from workflows.order_saga import ORDER_SAGA_DEFINITION
from workflows.return_saga import RETURN_SAGA_DEFINITION
from workflows.saga.definition import SagaDefinition

HISTORIES = Path(__file__).parents[1] / "histories"
NAMES = sorted(path.stem for path in HISTORIES.glob("*.json"))
LINKS = Links(self="/self", history="/history", events="/events", temporal_ui="http://ui.test")


@dataclass(frozen=True)
class Recorded:
    workflow_id: str
    history: WorkflowHistory
    description: DescribeWorkflowExecutionResponse

    @property
    def definition(self) -> SagaDefinition:
        return RETURN_SAGA_DEFINITION if self.workflow_id.startswith(RETURN_PREFIX) else ORDER_SAGA_DEFINITION

    def facts(self, upto: int | None = None) -> list[Fact]:
        """All facts, or those of the first events only."""
        return read_facts(self.history.events[:upto], self.definition)

    def view(self) -> SagaView:
        return fold(
            self.facts(),
            self.definition,
            LINKS,
            pending=read_pending(self.description.pending_activities),
            cancel_requested=self.description.workflow_extended_info.cancel_requested,
        )

    def view_after(self, events: int) -> SagaView:
        """The view as it would have been when the history had so many events."""
        return fold(self.facts(events), self.definition, LINKS)

    def story(self) -> list[HistoryEntry]:
        return list(tell(self.facts(), self.definition))


def recorded(name: str) -> Recorded:
    stored: dict[str, Any] = json.loads((HISTORIES / f"{name}.json").read_text())
    return Recorded(
        stored["workflow_id"],
        WorkflowHistory.from_json(stored["workflow_id"], stored["history"]),
        json_format.ParseDict(stored["description"], DescribeWorkflowExecutionResponse()),
    )
