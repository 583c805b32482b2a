"""What the services have announced about an order."""

from fastapi import APIRouter

from api.web.problem_codes import documented
from api.web.requests import OrderId, ReadModels, Sagas
from contracts.views import OrderEvents

router = APIRouter(tags=["orders"])


@router.get(
    "/orders/{order_id}/events",
    # CloudEvents has no null: what is absent is left out.
    response_model_exclude_none=True,
    responses=documented("ORDER_NOT_FOUND", "TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
)
async def show_events(order_id: OrderId, sagas: Sagas, views: ReadModels) -> OrderEvents:
    """Show the public events of all services about an order, as CloudEvents, in causal order.

    They come from the query side, so they are a moment behind: an order that was just placed may have none yet.
    """
    events = await views.events(order_id)
    if not events.events:
        # Known to Temporal at least? Its events may still be on their way.
        await sagas.snapshot(order_id)
    return events
