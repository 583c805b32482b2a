"""What endpoints do with sagas of any kind: start, read, wait, cancel, decide. What is special for a kind, it adds.

`api/order_sagas.py` and `api/return_sagas.py` are the kinds that there are.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from api.config import ApiSettings
from api.fault_plans import check_faults
from api.idempotency import key_reused
from api.services import Services
from api.temporal import SagaOver, SagaUnknown, Snapshot, Temporal
from api.view.cancel_reason import reason_for
from api.view.facts import Fact, Pending, Started, UnreadableHistory
from api.view.fold import fold
from api.view.temporal_events import read_facts, read_pending
from api.web.problems import not_found
from contracts.options import SagaOptions
from contracts.policy import Policy
from contracts.sagas import Decision, Links, RecordedDecision, SagaStatus, SagaView
from workflows.saga.definition import SagaDefinition
from workflows.saga_input import SagaInput

ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FORCED, SagaStatus.TERMINATED})
_REPORTED_PROBLEMS = "TemporalReportedProblems"


@dataclass(frozen=True, slots=True)
class Sagas:
    """Those of one kind, found by their ids. One per API process; it holds no state of its own."""

    noun: ClassVar[str]
    """What such a saga is of, in paths and problems: `/orders/{order_id}`, `/sagas/order`, `ORDER_NOT_FOUND`."""
    definition: ClassVar[SagaDefinition]

    settings: ApiSettings
    temporal: Temporal
    services: Services

    def saga_id_of(self, id_: UUID) -> str:
        """The saga's workflow id."""
        return f"{self.noun}-{id_}"

    async def view(self, id_: UUID) -> SagaView:
        """The saga as it is now.

        Raises:
            ApiProblem: nobody knows it.
        """
        return self.view_of(await self.snapshot(id_), id_)

    def view_of(self, snapshot: Snapshot, id_: UUID) -> SagaView:
        description, facts = snapshot.description, self.facts_of(snapshot)
        return fold(
            facts,
            self.definition,
            self.links(id_, input_in(facts).order_id),
            pending=read_pending(description.pending_activities),
            cancel_requested=description.workflow_extended_info.cancel_requested,
            reported_problem=_reported_problem(description),
        )

    def facts_of(self, snapshot: Snapshot) -> list[Fact]:
        return read_facts(snapshot.events, self.definition)

    async def snapshot(self, id_: UUID) -> Snapshot:
        """What Temporal knows of the saga.

        Raises:
            ApiProblem: it knows nothing (any more).
        """
        try:
            return await self.temporal.snapshot(self.saga_id_of(id_))
        except SagaUnknown:
            raise not_found(self.noun, id_) from None

    async def request(self, id_: UUID) -> SagaOptions:
        """What the saga was asked for with, as it was posted.

        Raises:
            ApiProblem: Temporal does not know it (any more).
        """
        return input_in(self.facts_of(await self.snapshot(id_))).request

    async def wait(self, id_: UUID, wait_s: int) -> SagaView:
        """The saga's view when it ended, or after the time, whichever comes first."""
        deadline = datetime.now(UTC) + timedelta(seconds=wait_s)
        await self.temporal.until_closed(self.saga_id_of(id_), deadline)
        return await self.view(id_)

    async def cancel(self, id_: UUID) -> None:
        """Asks Temporal to cancel the saga.

        Raises:
            SagaOver: it has ended.
        """
        saga_id = self.saga_id_of(id_)
        await self.temporal.cancel(saga_id, reason_for(await self._pending(saga_id)))

    async def decide(self, id_: UUID, decision: Decision, update_id: str) -> None:
        """Brings an operator's decision to the saga. The same update id again is the same decision.

        Raises:
            SagaOver: it has ended.
            DecisionTurnedDown: the decision makes no sense now.
            NobodyAnswers: no worker took it in time.
        """
        saga_id, step = self.saga_id_of(id_), self.definition.step(decision.step)
        activities = {operation.name for operation in (step.action, step.undo) if operation}
        attempts = [one.attempts for one in await self._pending(saga_id) if one.activity in activities]
        recorded = RecordedDecision(**dict(decision), attempts_before=sum(attempts))
        await self.temporal.decide(saga_id, recorded, update_id)

    def links(self, id_: UUID, order_id: UUID) -> Links:
        path = f"/{self.noun}s/{id_}"
        ui = self.settings.temporal_ui_url.rstrip("/")
        return Links(
            self=path,
            history=f"{path}/history",
            events=f"/orders/{order_id}/events",
            temporal_ui=f"{ui}/namespaces/{self.settings.namespace}/workflows/{self.saga_id_of(id_)}",
        )

    def check(self, request: SagaOptions) -> None:
        """Returns if a saga can be started with these options.

        Raises:
            ApiProblem: it cannot.
        """
        check_faults(request.faults, request.policy, self.definition, enabled=self.settings.fault_injection)

    def policy_for(self, request: SagaOptions) -> Policy:
        policy = request.policy or self.settings.policy
        if request.deadline_s is None:
            return policy
        return Policy.model_validate({**policy.model_dump(), "deadline_s": request.deadline_s})

    async def start_once(self, saga: SagaInput, *, digest: str, summary: str, details: str) -> None:
        """Starts the saga, unless it was started before with the same request.

        Raises:
            ApiProblem: it was started with another one.
        """
        new = await self.temporal.start(self.definition.name, saga, digest=digest, summary=summary, details=details)
        if not new:
            known = await self.temporal.snapshot(saga.saga_id)
            if known.request_digest not in (None, digest):
                raise key_reused(self.noun)

    async def _pending(self, saga_id: str) -> list[Pending]:
        try:
            return read_pending((await self.temporal.describe(saga_id)).pending_activities)
        except SagaUnknown:
            raise SagaOver(saga_id) from None


def input_in(facts: list[Fact]) -> SagaInput:
    """What the saga was started with.

    Raises:
        UnreadableHistory: the facts do not tell.
    """
    for fact in facts:
        if isinstance(fact, Started):
            return fact.saga
    raise UnreadableHistory("the history does not begin with the start of a saga")


def _reported_problem(description: DescribeWorkflowExecutionResponse) -> str | None:
    payload = description.workflow_execution_info.search_attributes.indexed_fields.get(_REPORTED_PROBLEMS)
    if payload is None or b"WorkflowTaskFailed" not in payload.data:
        return None
    return "its workflow task keeps failing; Temporal's Web UI shows why"
