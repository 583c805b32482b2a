"""What the endpoints share: takes orders in, and reads sagas, from Temporal or later from the order service."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse

from api.config import ApiSettings
from api.fault_plans import check_faults
from api.idempotency import digest_of, key_reused, order_id_of
from api.reading import ServiceUnreachable
from api.services import ORDER, Services
from api.temporal import SagaOver, SagaUnknown, Snapshot, Temporal
from api.view.cancel_reason import reason_for
from api.view.facts import Fact, Pending
from api.view.fold import fold
from api.view.forgotten import archived_view, is_same_order
from api.view.temporal_events import read_facts, read_pending
from api.web.problems import order_not_found
from contracts.orders import Order
from contracts.sagas import Decision, Links, RecordedDecision, SagaStatus, SagaView
from workflows.names import saga_id_of
from workflows.order_commands import OrderSagaInput
from workflows.order_saga import ORDER_SAGA_DEFINITION
from workflows.policies import Policy
from workflows.saga.definition import SagaDefinition

ENDED = frozenset({SagaStatus.COMPLETED, SagaStatus.COMPENSATED, SagaStatus.FORCED, SagaStatus.TERMINATED})
_REPORTED_PROBLEMS = "TemporalReportedProblems"


@dataclass(frozen=True, slots=True)
class OrderSagas:
    """One per API process. Holds no state of its own."""

    settings: ApiSettings
    temporal: Temporal
    services: Services
    definition: SagaDefinition = ORDER_SAGA_DEFINITION

    async def start(self, order: Order, key: str, *, key_given: bool) -> UUID:
        """Starts the order's saga, or finds the one that the key started before.

        It also finds one that Temporal has forgotten by now, in the order service; a key that was made up for this
        request is not looked for there. An order that is still pending there, though Temporal knows no saga of it,
        lost its saga with the engine's memory: it is run again, from the start. That does no harm, since its
        commands are known to the services by their keys, and it is the only way to an end for such an order.

        Raises:
            ApiProblem: the order cannot be taken as it is, or the key came before with another order.
        """
        check_faults(order.faults, self.definition, enabled=self.settings.fault_injection)
        order_id = order_id_of(key)
        digest = digest_of(order)
        if key_given and await self._is_forgotten(order_id, order):
            return order_id
        saga = OrderSagaInput(order_id=order_id, order=order, policy=self._policy(order))
        if not await self.temporal.start(saga, digest):
            known = await self.temporal.snapshot(saga.saga_id)
            if known.request_digest not in (None, digest):
                raise key_reused(Order)
        return order_id

    async def view(self, order_id: UUID) -> SagaView:
        """The saga as it is now.

        Raises:
            ApiProblem: neither Temporal nor the order service knows it.
        """
        view = await self.view_if_known(order_id)
        if view is None:
            raise order_not_found(order_id)
        return view

    async def view_if_known(self, order_id: UUID) -> SagaView | None:
        """The saga as it is now; None if neither Temporal nor the order service knows it."""
        try:
            return self.view_of(await self.temporal.snapshot(saga_id_of(order_id)), order_id)
        except SagaUnknown:
            return await self._archived(order_id)

    def view_of(self, snapshot: Snapshot, order_id: UUID) -> SagaView:
        description = snapshot.description
        return fold(
            self.facts_of(snapshot),
            self.definition,
            self.links(order_id),
            pending=read_pending(description.pending_activities),
            cancel_requested=description.workflow_extended_info.cancel_requested,
            reported_problem=_reported_problem(description),
        )

    def facts_of(self, snapshot: Snapshot) -> list[Fact]:
        return read_facts(snapshot.events, self.definition)

    async def snapshot(self, order_id: UUID) -> Snapshot:
        """What Temporal knows of the order's saga.

        Raises:
            ApiProblem: it knows nothing (any more).
        """
        try:
            return await self.temporal.snapshot(saga_id_of(order_id))
        except SagaUnknown:
            raise order_not_found(order_id) from None

    async def wait(self, order_id: UUID, wait_s: int) -> SagaView:
        """The saga's view when it ended, or after the time, whichever comes first."""
        deadline = datetime.now(UTC) + timedelta(seconds=wait_s)
        await self.temporal.until_closed(saga_id_of(order_id), deadline)
        return await self.view(order_id)

    async def cancel(self, order_id: UUID) -> None:
        """Asks Temporal to cancel the saga.

        Raises:
            SagaOver: it has ended.
        """
        saga_id = saga_id_of(order_id)
        await self.temporal.cancel(saga_id, reason_for(await self._pending(saga_id)))

    async def decide(self, order_id: UUID, decision: Decision, update_id: str) -> None:
        """Brings an operator's decision to the saga. The same update id again is the same decision.

        Raises:
            SagaOver: it has ended.
            DecisionTurnedDown: the decision makes no sense now.
            NobodyAnswers: no worker took it in time.
        """
        saga_id, step = saga_id_of(order_id), self.definition.step(decision.step)
        activities = {operation.name for operation in (step.action, step.undo) if operation}
        attempts = [one.attempts for one in await self._pending(saga_id) if one.activity in activities]
        recorded = RecordedDecision(**dict(decision), attempts_before=sum(attempts))
        await self.temporal.decide(saga_id, recorded, update_id)

    def links(self, order_id: UUID) -> Links:
        path = f"/orders/{order_id}"
        ui = self.settings.temporal_ui_url.rstrip("/")
        return Links(
            self=path,
            history=f"{path}/history",
            events=f"{path}/events",
            temporal_ui=f"{ui}/namespaces/{self.settings.namespace}/workflows/{saga_id_of(order_id)}",
        )

    def _policy(self, order: Order) -> Policy:
        policy = self.settings.policy
        if order.deadline_s is None:
            return policy
        return Policy.model_validate({**policy.model_dump(), "deadline_s": order.deadline_s})

    async def _pending(self, saga_id: str) -> list[Pending]:
        try:
            return read_pending((await self.temporal.describe(saga_id)).pending_activities)
        except SagaUnknown:
            raise SagaOver(saga_id) from None

    async def _is_forgotten(self, order_id: UUID, order: Order) -> bool:
        """Whether this very order was taken so long ago that Temporal has forgotten it.

        The order service is asked first, because Temporal would start the saga once more without a word. A service
        that does not answer holds up no order: a second run of a saga has no effect, all its keys are known.
        """
        try:
            stream = await self.services.stream(ORDER, str(order_id), timeout_s=self.settings.known_order_timeout_s)
        except ServiceUnreachable:
            return False
        view = archived_view(order_id, stream, self.links(order_id)) if stream else None
        if stream is None or view is None:
            return False
        try:
            await self.temporal.describe(view.saga_id)
        except SagaUnknown:
            if not is_same_order(order, stream):
                raise key_reused(Order) from None
            # An order that is still pending lost its saga before the end, with the engine's memory: it runs again.
            return view.status is not SagaStatus.TERMINATED
        return False

    async def _archived(self, order_id: UUID) -> SagaView | None:
        stream = await self.services.stream(ORDER, str(order_id))
        return archived_view(order_id, stream, self.links(order_id)) if stream else None


def _reported_problem(description: DescribeWorkflowExecutionResponse) -> str | None:
    payload = description.workflow_execution_info.search_attributes.indexed_fields.get(_REPORTED_PROBLEMS)
    if payload is None or b"WorkflowTaskFailed" not in payload.data:
        return None
    return "its workflow task keeps failing; Temporal's Web UI shows why"
