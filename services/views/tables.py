"""The read model's tables. Every row carries its generation, as the first part of its key (consumer/read_model.py)."""

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import DDL, JSON, Index, Text, event, text
from sqlmodel import Column, Field, SQLModel

from contracts.sagas import Cause
from contracts.views import OrderStatus, ShipmentStatus
from services.kernel.columns import BigInt, Ordered, UtcTime, one_of
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.schema import Schema
from services.views.order_view import HoldStatus
from services.views.standing import Standing


def _list_of(orders: str, *filters: str) -> Index:
    """The listed orders that the filters select, by age."""
    listed = text("placed_at IS NOT NULL" + (" AND cause IS NOT NULL" if "cause" in filters else ""))
    columns = ("generation", *filters, "placed_at", "order_id")
    return Index(orders, *columns, sqlite_where=listed, postgresql_where=listed)


_OF_STOCK = text("sku IS NOT NULL")
OPEN = text("standing = 'OPEN'")
"""Spelled as the index has it, since a parameter would keep databases from using it."""
_UNCAUSED = text("causationid IS NULL")


class OrderRow(SQLModel, table=True):
    """One order, from the first event of any service on. It is listed once it is known when it was placed."""

    __tablename__ = "view_orders"
    # One index for each combination of filters, in the order of the list: a page costs its own length, however many
    # orders there are. With fewer, a customer's few rejected orders would be looked for among all rejected ones.
    __table_args__ = (
        _list_of("view_orders_all"),
        _list_of("view_orders_by_status", "status"),
        _list_of("view_orders_by_cause", "cause"),
        _list_of("view_orders_by_customer", "customer_id"),
        _list_of("view_orders_by_customer_status", "customer_id", "status"),
        _list_of("view_orders_by_customer_cause", "customer_id", "cause"),
    )

    generation: int = Field(primary_key=True)
    order_id: str = Field(primary_key=True, sa_type=Ordered)
    saga_id: str | None = None
    customer_id: str | None = None
    currency: str | None = None
    total_minor: int | None = Field(default=None, sa_type=BigInt)
    placed_at: datetime | None = Field(default=None, sa_type=UtcTime)
    status: OrderStatus = Field(sa_type=one_of(OrderStatus))
    cause: Cause | None = Field(default=None, sa_type=one_of(Cause))
    holds: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """By authorization: later payment events name nothing else, and the books need to know its amount."""
    shipment: ShipmentStatus = Field(sa_type=one_of(ShipmentStatus))


class StockRow(SQLModel, table=True):
    """The stock of one SKU; what the numbers mean, `StockView` says."""

    __tablename__ = "view_stock"

    generation: int = Field(primary_key=True)
    sku: str = Field(primary_key=True, sa_type=Ordered)
    received: int = Field(default=0, sa_type=BigInt)
    on_hand: int = Field(default=0, sa_type=BigInt)
    booked: int = Field(default=0, sa_type=BigInt)
    dispatched: int = Field(default=0, sa_type=BigInt)
    returned: int = Field(default=0, sa_type=BigInt)
    taken_back: int = Field(default=0, sa_type=BigInt, sa_column_kwargs={"server_default": "0"})


class MoneyRow(SQLModel, table=True):
    """All payments of one currency; what the numbers mean, `MoneyView` says."""

    __tablename__ = "view_money"

    generation: int = Field(primary_key=True)
    currency: str = Field(primary_key=True, sa_type=Ordered)
    authorized_minor: int = Field(default=0, sa_type=BigInt)
    captured_minor: int = Field(default=0, sa_type=BigInt)
    voided_minor: int = Field(default=0, sa_type=BigInt)
    expired_minor: int = Field(default=0, sa_type=BigInt)
    held_minor: int = Field(default=0, sa_type=BigInt)
    refunded_minor: int = Field(default=0, sa_type=BigInt, sa_column_kwargs={"server_default": "0"})


class StandingRow(SQLModel, table=True):
    """How one order stands for an audit, from the first event of any service on (services/views/standing.py)."""

    __tablename__ = "view_standings"
    __table_args__ = (
        Index("view_standings_counted", "generation", "standing"),
        # Of millions of orders few are open, and an audit looks at these alone.
        Index("view_standings_open", "generation", "since", "order_id", sqlite_where=OPEN, postgresql_where=OPEN),
    )

    generation: int = Field(primary_key=True)
    order_id: str = Field(primary_key=True, sa_type=Ordered)
    standing: Standing = Field(sa_type=one_of(Standing))
    since: datetime = Field(sa_type=UtcTime)
    """The time of the latest event."""
    saga_id: str | None = None
    """Of that event."""
    ledger: str = Field(sa_type=Text)
    """As JSON, for which nobody but Python ever asks."""


class HoldRow(SQLModel, table=True):
    """One authorization, to be compared with the payment gateway's own books."""

    __tablename__ = "view_holds"

    generation: int = Field(primary_key=True)
    order_id: str = Field(primary_key=True, sa_type=Ordered)
    authorization: str = Field(primary_key=True)
    amount_minor: int = Field(sa_type=BigInt)
    currency: str
    status: HoldStatus = Field(sa_type=one_of(HoldStatus))
    refunded_minor: int = Field(default=0, sa_type=BigInt)


class FindingRow(SQLModel, table=True):
    """What an event has broken for ever (services/views/breaches.py)."""

    __tablename__ = "view_findings"

    generation: int = Field(primary_key=True)
    invariant: str = Field(primary_key=True)
    """By the name of its member, whose words may yet be improved."""
    service: str = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInt)
    """Of the event."""
    order_id: str | None = None
    what: str = Field(sa_type=Text)
    events: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """Those that show it."""


class ViewedEventRow(SQLModel, table=True):
    """One public event, whole, whether or not this version knows what it means."""

    __tablename__ = "view_events"
    __table_args__ = (
        Index("view_events_by_subject", "generation", "subject", "service", "position"),
        # Of events that a version took which kept no causes; there are none in a generation that is complete.
        Index("view_events_uncaused", "generation", sqlite_where=_UNCAUSED, postgresql_where=_UNCAUSED),
        Index(
            "view_events_by_sku", "generation", "sku", "position", sqlite_where=_OF_STOCK, postgresql_where=_OF_STOCK
        ),
    )

    generation: int = Field(primary_key=True)
    service: str = Field(primary_key=True)
    position: int = Field(primary_key=True, sa_type=BigInt)
    stream: str
    streamversion: int = Field(sa_type=BigInt)
    type: str
    subject: str
    sku: str | None = None
    """Of an event about stock."""
    time: datetime = Field(sa_type=UtcTime)
    body: str = Field(sa_type=Text)
    """The event as JSON."""
    causationid: str | None = None
    """The command that led to it: `idempotency key/name`."""


VIEW_TABLES: tuple[type[SQLModel], ...] = (
    OrderRow,
    StockRow,
    MoneyRow,
    StandingRow,
    HoldRow,
    FindingRow,
    ViewedEventRow,
)

VIEW_SCHEMA = Schema((*CONSUMER_TABLES, *VIEW_TABLES), "views_0003", Path(__file__).parent / "migrations")

_EXPECTED = {
    "view_orders_all": "1000000 1000000 1 1",
    "view_orders_by_status": "1000000 1000000 300000 1 1",
    "view_orders_by_cause": "300000 300000 75000 1 1",
    "view_orders_by_customer": "1000000 1000000 10000 1 1",
    "view_orders_by_customer_status": "1000000 1000000 10000 3000 1 1",
    "view_orders_by_customer_cause": "300000 300000 3000 750 1 1",
}
"""How many orders to expect, and on average for each value of an index's first column, its first two, and so on."""


def _expect_many_orders() -> None:
    """Tells SQLite, which knows no better of a new table, to prefer the index that fits a list's filters most closely.

    Left to guess it expects 10 orders, finds that any bound on their time leaves 2, and walks through all of that time.
    """
    expected = ", ".join(f"('view_orders', '{index}', '{numbers}')" for index, numbers in _EXPECTED.items())
    # The first ANALYZE makes the table of statistics, the last one has them read.
    for statement in (
        "ANALYZE sqlite_schema",
        f"INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES {expected}",  # noqa: S608 - all of it is ours
        "ANALYZE sqlite_schema",
    ):
        ddl = DDL(statement).execute_if(dialect="sqlite")  # type: ignore[no-untyped-call]
        event.listen(SQLModel.metadata.tables["view_orders"], "after_create", ddl)


_expect_many_orders()
