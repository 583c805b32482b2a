"""The four tables that every service has."""

from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import JSON, Index, UniqueConstraint, text
from sqlmodel import Column, Field, SQLModel

from services.kernel.columns import BigInt, Ordered, UtcTime
from services.kernel.schema import Schema

UNDOING = text("phase IN ('undo', 'fence')")
"""Compensations and fences. Spelled as the index has it, since a parameter would keep databases from using it."""


class EventRow(SQLModel, table=True):
    """One fact. Rows are added, never changed nor removed; the table is the service's event log."""

    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("stream", "version"),
        # Lists streams without reading the log.
        Index("events_first", "stream", sqlite_where=text("version = 1"), postgresql_where=text("version = 1")),
        # Finds what a few sagas did to a stream that all of them share, as a popular SKU's stock.
        Index("events_of_saga", "stream", "saga_id"),
        {"sqlite_autoincrement": True},  # a position is never given twice
    )

    position: int | None = Field(default=None, primary_key=True, sa_type=BigInt)
    stream: str = Field(sa_type=Ordered)
    version: int = Field(sa_type=BigInt)
    type: str
    data: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    key: str
    command: str
    saga_id: str | None
    recorded_at: datetime = Field(sa_type=UtcTime)


class CommandRow(SQLModel, table=True):
    """What became of a command: the barrier's memory (see barrier.py)."""

    __tablename__ = "commands"
    __table_args__ = (
        # Finds what is under way, oldest first, among all that ever came.
        Index(
            "commands_accepted",
            "recorded_at",
            sqlite_where=text("outcome = 'accepted'"),
            postgresql_where=text("outcome = 'accepted'"),
        ),
        # Finds the undos and fences, for the audit, among all that ever came.
        Index("commands_undoing", "stream", sqlite_where=UNDOING, postgresql_where=UNDOING),
    )

    key: str = Field(primary_key=True)
    command: str = Field(primary_key=True)
    phase: str
    stream: str = Field(index=True)
    saga_id: str | None
    body_digest: str
    """Tells the same body from another one, without keeping card tokens and addresses a second time."""
    outcome: str
    reply: dict[str, Any] | None = Field(default=None, sa_column=Column(JSON))
    recorded_at: datetime = Field(sa_type=UtcTime)
    position: int | None = Field(default=None, sa_type=BigInt)
    """Where the log ended when the row was written last, its own events included: what lies behind it came later,
    whatever any clock says. Unknown of rows from before this was kept."""


class EnactmentRow(SQLModel, table=True):
    """How often an injected fault was enacted."""

    __tablename__ = "fault_enactments"

    key: str = Field(primary_key=True)
    phase: str = Field(primary_key=True)
    fault: str = Field(primary_key=True)
    times: int


class LogRow(SQLModel, table=True):
    """The one row that names this log, so that a reader notices when it is another one."""

    __tablename__ = "log"

    log_id: str = Field(primary_key=True)
    created_at: datetime = Field(sa_type=UtcTime)


KERNEL_TABLES: tuple[type[SQLModel], ...] = (EventRow, CommandRow, EnactmentRow, LogRow)

KERNEL_SCHEMA = Schema(KERNEL_TABLES, "kernel_0004", Path(__file__).parent / "migrations")
