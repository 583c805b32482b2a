"""Return sagas: started for an order that the order service knows, and read from Temporal."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar
from uuid import UUID

from api.idempotency import digest_of_return, return_id_of
from api.order_in_words import details_of_return, summary_of_return
from api.sagas import Sagas
from api.services import ORDER
from api.temporal import SagaUnknown
from api.view.forgotten import placed_in
from api.web.problems import ApiProblem, not_found
from contracts.returns import Return
from contracts.sagas import SagaStatus, SagaView
from workflows.names import RETURN_PREFIX, saga_id_of
from workflows.return_commands import ReturnedOrder, ReturnSagaInput
from workflows.return_saga import RETURN_SAGA_DEFINITION
from workflows.saga.definition import SagaDefinition


@dataclass(frozen=True, slots=True)
class ReturnSagas(Sagas):
    """Found by the returns' ids, which are derived from the order's and the idempotency key: an order whose return
    was compensated may be returned again, with another key."""

    noun: ClassVar[str] = "return"
    definition: ClassVar[SagaDefinition] = RETURN_SAGA_DEFINITION

    async def start(self, order_id: UUID, request: Return, key: str) -> UUID:
        """Starts the return, or finds the one that the key started before for this order.

        Whether the order can be returned now is not asked here, because it could be another a moment later: the saga
        finds out, and is refused. When Temporal has forgotten a return, the same key runs it again. That does no harm,
        since its commands are known to the services by their keys, and it ends as it did.

        Raises:
            ApiProblem: there is no such order, or it is not placed; the return cannot be taken as it is; or the key
                came before with another one.
            ServiceUnreachable: the order service gave no readable answer in time.
        """
        self.check(request)
        return_id = return_id_of(order_id, key)
        saga = ReturnSagaInput(
            order_id=order_id,
            return_id=return_id,
            order=await self._placed(order_id),
            asked=request,
            policy=self.policy_for(request),
        )
        await self.start_once(
            saga,
            digest=digest_of_return(request),
            summary=summary_of_return(saga),
            details=details_of_return(saga),
        )
        return return_id

    async def view_if_known(self, saga_id: str) -> SagaView | None:
        """The return's saga as it is now; None if Temporal does not know it (any more)."""
        try:
            snapshot = await self.temporal.snapshot(saga_id)
        except SagaUnknown:
            return None
        return self.view_of(snapshot, UUID(saga_id.removeprefix(RETURN_PREFIX)))

    async def status_of(self, saga_id: str) -> SagaStatus | None:
        """What the return's saga says that it is; None if Temporal does not know it (any more)."""
        view = await self.view_if_known(saga_id)
        return view.status if view else None

    async def _placed(self, order_id: UUID) -> ReturnedOrder:
        stream = await self.services.stream(ORDER, str(order_id))
        placed = placed_in(stream) if stream else None
        if placed is not None:
            return ReturnedOrder(
                customer_id=placed.customer_id, total_minor=placed.total_minor, currency=placed.currency
            )
        try:
            await self.temporal.describe(saga_id_of(order_id))
        except SagaUnknown:
            raise not_found("order", order_id) from None
        detail = f"order {order_id} is not placed, or not yet, so there is nothing to return"
        raise ApiProblem(HTTPStatus.CONFLICT, "ORDER_NOT_PLACED", detail)
