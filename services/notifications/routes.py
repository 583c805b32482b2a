"""Reading the notifications: of an order, of a customer, or all."""

from datetime import datetime
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlmodel import Session, col, select

from contracts.base import Sought
from services.kernel.database import Database
from services.notifications.tables import NotificationRow

PATH = "/notifications"
MAX_PAGE = 500

OrderId = Annotated[Sought | None, Query(max_length=100, description="Only those about this order.")]
CustomerId = Annotated[Sought | None, Query(max_length=300, description="Only those to this customer.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
After = Annotated[int, Query(ge=0, le=2**63 - 1, description="Only those recorded after the one at this place.")]


class NotificationView(BaseModel):
    model_config = ConfigDict(from_attributes=True, use_attribute_docstrings=True)

    place: int
    order_id: str
    customer_id: str | None
    """Null as long as the order itself has not been heard of."""
    service: str
    event_id: str
    event_type: str
    text: str
    recorded_at: datetime
    """When the service recorded the event."""
    failures: int
    """Attempts to send it that failed."""
    sent_at: datetime | None


class NotificationsPage(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True)

    notifications: list[NotificationView]
    next: str | None
    """The link to the next page."""


def notification_routes(database: Database) -> APIRouter:
    router = APIRouter(tags=["notifications"])

    @router.get(PATH)
    async def list_notifications(
        order_id: OrderId = None, customer_id: CustomerId = None, limit: Limit = 100, after: After = 0
    ) -> NotificationsPage:
        """The notifications, oldest first, so that a page once read stays as it is and new ones come at the end."""
        views = await database.read(lambda session: _read(session, order_id, customer_id, limit=limit + 1, after=after))
        page, more = views[:limit], len(views) > limit
        filters = (
            {"order_id": order_id, "customer_id": customer_id, "limit": limit, "after": page[-1].place} if more else {}
        )
        query = urlencode({name: value for name, value in filters.items() if value is not None})
        return NotificationsPage(notifications=page, next=f"{PATH}?{query}" if more else None)

    return router


def _read(
    session: Session, order_id: str | None, customer_id: str | None, *, limit: int, after: int
) -> list[NotificationView]:
    query = select(NotificationRow).where(col(NotificationRow.place) > after)
    if order_id is not None:
        query = query.where(col(NotificationRow.order_id) == order_id)
    if customer_id is not None:
        query = query.where(col(NotificationRow.customer_id) == customer_id)
    rows = session.exec(query.order_by(col(NotificationRow.place)).limit(limit)).all()
    return [NotificationView.model_validate(row) for row in rows]
