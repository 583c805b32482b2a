"""What an order was asked for with, and how often each of its faults was enacted: enough to run it again."""

from fastapi import APIRouter

from api.fault_plans import enactments
from api.web.problem_codes import documented
from api.web.requests import OrderId, Sagas
from contracts.faults import Fault
from contracts.orders import Order
from workflows.names import saga_id_of

router = APIRouter(tags=["orders"])


class PlannedFault(Fault):
    """A fault of an order's plan, and what became of it."""

    enacted: int
    """How often a service has enacted it so far."""


@router.get(
    "/orders/{order_id}/request",
    response_model_exclude_defaults=True,
    responses=documented("ORDER_NOT_FOUND", "TEMPORAL_UNAVAILABLE"),
)
async def show_request(order_id: OrderId, sagas: Sagas) -> Order:
    """Show the order as it was posted, its faults included: posted again with another key, it is run again."""
    return await sagas.order(order_id)


@router.get(
    "/orders/{order_id}/faults",
    responses=documented("ORDER_NOT_FOUND", "TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
)
async def show_faults(order_id: OrderId, sagas: Sagas) -> list[PlannedFault]:
    """Show the faults that an order brought, and how often the services have enacted each of them."""
    order = await sagas.order(order_id)
    enacted = await sagas.services.enacted_faults(saga_id_of(order_id))
    return [
        PlannedFault(**dict(fault), enacted=times)
        for fault, times in zip(order.faults, enactments(order.faults, enacted), strict=True)
    ]
