"""Takes one event into the notifications, within the consumer's transaction.

Guarantees: taking an event again changes nothing, so a log that is read anew from its start notifies nobody twice.
Events of different services come in any order: what comes before its order waits for it.
"""

from datetime import UTC, datetime

from sqlmodel import Session, col, select, update

from contracts.events import OrderPlaced, PublicEvent
from services.notifications.tables import NotificationRow, RecipientRow
from services.notifications.texts import text_of


def record(session: Session, event: PublicEvent, _generation: int) -> None:
    """Records what the event's customer is to be told, if anything."""
    if (event.service, event.type) == ("order", "OrderPlaced"):
        _learn_recipient(session, event.subject, event.read(OrderPlaced).customer_id)
    text = text_of(event)
    if text is None or _is_recorded(session, event):
        return
    recipient = session.get(RecipientRow, event.subject)
    session.add(
        NotificationRow(
            service=event.service,
            event_id=event.id,
            event_type=event.type,
            order_id=event.subject,
            customer_id=recipient.customer_id if recipient else None,
            text=text,
            recorded_at=event.time,
            due_at=datetime.now(UTC),
        )
    )


def _learn_recipient(session: Session, order_id: str, customer_id: str) -> None:
    session.merge(RecipientRow(order_id=order_id, customer_id=customer_id))
    session.exec(
        update(NotificationRow)
        .where(col(NotificationRow.order_id) == order_id, col(NotificationRow.customer_id).is_(None))
        .values(customer_id=customer_id)
    )


def _is_recorded(session: Session, event: PublicEvent) -> bool:
    found = session.exec(
        select(NotificationRow.place).where(
            col(NotificationRow.service) == event.service,
            col(NotificationRow.event_id) == event.id,
            col(NotificationRow.event_type) == event.type,
        )
    )
    return found.first() is not None
