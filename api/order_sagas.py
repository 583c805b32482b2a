"""Order sagas: taken in, and read from Temporal or later from the order service."""

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from api.idempotency import digest_of, key_reused, order_id_of
from api.order_in_words import details_of, summary_of
from api.reading import ServiceUnreachable
from api.sagas import Sagas
from api.services import ORDER
from api.temporal import SagaUnknown
from api.view.forgotten import archived_view, is_same_order
from api.web.problems import not_found
from contracts.orders import Order
from contracts.sagas import SagaStatus, SagaView
from workflows.order_commands import OrderSagaInput
from workflows.order_saga import ORDER_SAGA_DEFINITION
from workflows.saga.definition import SagaDefinition


@dataclass(frozen=True, slots=True)
class OrderSagas(Sagas):
    """Found by the orders' ids."""

    noun: ClassVar[str] = "order"
    definition: ClassVar[SagaDefinition] = ORDER_SAGA_DEFINITION

    async def start(self, order: Order, key: str, *, key_given: bool) -> UUID:
        """Starts the order's saga, or finds the one that the key started before.

        It also finds one that Temporal has forgotten by now, in the order service; a key that was made up for this
        request is not looked for there. An order that is still pending there, though Temporal knows no saga of it,
        lost its saga with the engine's memory: it is run again, from the start. That does no harm, since its
        commands are known to the services by their keys, and it is the only way to an end for such an order.

        Raises:
            ApiProblem: the order cannot be taken as it is, or the key came before with another order.
        """
        self.check(order)
        order_id = order_id_of(key)
        if key_given and await self._is_forgotten(order_id, order):
            return order_id
        saga = OrderSagaInput(order_id=order_id, order=order, policy=self.policy_for(order))
        await self.start_once(saga, digest=digest_of(order), summary=summary_of(order), details=details_of(order))
        return order_id

    async def view(self, id_: UUID) -> SagaView:
        """The saga as it is now.

        Raises:
            ApiProblem: neither Temporal nor the order service knows it.
        """
        view = await self.view_if_known(id_)
        if view is None:
            raise not_found(self.noun, id_)
        return view

    async def view_if_known(self, order_id: UUID) -> SagaView | None:
        """The saga as it is now; None if neither Temporal nor the order service knows it."""
        try:
            return self.view_of(await self.temporal.snapshot(self.saga_id_of(order_id)), order_id)
        except SagaUnknown:
            return await self._archived(order_id)

    async def _is_forgotten(self, order_id: UUID, order: Order) -> bool:
        """Whether this very order was taken so long ago that Temporal has forgotten it.

        The order service is asked first, because Temporal would start the saga once more without a word. A service
        that does not answer holds up no order: a second run of a saga has no effect, all its keys are known.
        """
        try:
            stream = await self.services.stream(ORDER, str(order_id), timeout_s=self.settings.known_order_timeout_s)
        except ServiceUnreachable:
            return False
        view = archived_view(order_id, stream, self.links(order_id, order_id)) if stream else None
        if stream is None or view is None:
            return False
        try:
            await self.temporal.describe(view.saga_id)
        except SagaUnknown:
            if not is_same_order(order, stream):
                raise key_reused(self.noun) from None
            # An order that is still pending lost its saga before the end, with the engine's memory: it runs again.
            return view.status is not SagaStatus.TERMINATED
        return False

    async def _archived(self, order_id: UUID) -> SagaView | None:
        stream = await self.services.stream(ORDER, str(order_id))
        return archived_view(order_id, stream, self.links(order_id, order_id)) if stream else None
