"""What the notifications keep: every text and whether it was sent, and to whom each order belongs."""

from datetime import datetime
from pathlib import Path

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from services.kernel.columns import BigInt, UtcTime
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.schema import Schema

_UNSENT = text("sent_at IS NULL AND customer_id IS NOT NULL")


class NotificationRow(SQLModel, table=True):
    """What one customer is told of one event. The row is added once, however often the event is taken.

    The type belongs to its identity: a log that was restored from a back-up gives ids a second time, to other facts.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("service", "event_id", "event_type"),
        Index("notifications_unsent", "due_at", sqlite_where=_UNSENT, postgresql_where=_UNSENT),
    )

    place: int | None = Field(default=None, primary_key=True, sa_type=BigInt)
    """In the order in which they were recorded."""
    service: str
    event_id: str
    event_type: str
    order_id: str = Field(index=True)
    customer_id: str | None = Field(default=None, index=True)
    """None until the order's own first event tells it; until then nothing can be sent."""
    text: str
    recorded_at: datetime = Field(sa_type=UtcTime)
    """When the service recorded the event."""
    due_at: datetime = Field(sa_type=UtcTime)
    """Not to be sent earlier; later and later with every attempt that fails."""
    failures: int = 0
    sent_at: datetime | None = Field(default=None, sa_type=UtcTime)


class RecipientRow(SQLModel, table=True):
    """Whose order it is."""

    __tablename__ = "recipients"

    order_id: str = Field(primary_key=True)
    customer_id: str


NOTIFICATION_TABLES: tuple[type[SQLModel], ...] = (NotificationRow, RecipientRow)

NOTIFICATION_SCHEMA = Schema(
    (*CONSUMER_TABLES, *NOTIFICATION_TABLES), "notifications_0001", Path(__file__).parent / "migrations"
)
