"""What every consumer keeps beside its effects: how far it has got, which streams are parked, what is dead."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, UniqueConstraint
from sqlmodel import Column, Field, SQLModel

from services.kernel.columns import BigInt, UtcTime, one_of


class GenerationState(StrEnum):
    BUILDING = "building"
    ACTIVE = "active"
    RETIRED = "retired"
    """Another one is active; its rows are being deleted."""


class GenerationRow(SQLModel, table=True):
    """One building of the read model, from position 0 on. One is active, and serves."""

    __tablename__ = "generations"

    generation: int = Field(primary_key=True)
    state: GenerationState = Field(sa_type=one_of(GenerationState))
    started_at: datetime = Field(sa_type=UtcTime)
    active_since: datetime | None = Field(default=None, sa_type=UtcTime)


class CursorRow(SQLModel, table=True):
    """How far a generation has got in a service's log; moved in the transaction of the events' effect."""

    __tablename__ = "cursors"

    generation: int = Field(primary_key=True)
    service: str = Field(primary_key=True)
    log_id: str
    position: int = Field(sa_type=BigInt)
    moved_at: datetime = Field(sa_type=UtcTime)


class ParkedStreamRow(SQLModel, table=True):
    """A stream one of whose events could not be taken. What follows in it waits among the dead letters."""

    __tablename__ = "parked_streams"

    generation: int = Field(primary_key=True)
    service: str = Field(primary_key=True)
    stream: str = Field(primary_key=True)
    log_id: str
    next_version: int = Field(sa_type=BigInt)
    """Of the event to be taken next. Those below it are done with."""
    reason: str
    since: datetime = Field(sa_type=UtcTime)
    resumed_at: datetime | None = Field(default=None, sa_type=UtcTime)
    """When it went on. The row stays, to recognise what was taken from the dead letters."""


class DroppedEventRow(SQLModel, table=True):
    """An event that an operator gave up on, for this and every later generation."""

    __tablename__ = "dropped_events"

    service: str = Field(primary_key=True)
    log_id: str = Field(primary_key=True)
    stream: str = Field(primary_key=True)
    version: int = Field(primary_key=True, sa_type=BigInt)


class DeadLetterRow(SQLModel, table=True):
    """A dead letter, where no broker keeps them."""

    __tablename__ = "dead_letters"
    __table_args__ = (UniqueConstraint("generation", "service", "log_id", "stream", "version"),)

    place: int | None = Field(default=None, primary_key=True, sa_type=BigInt)
    generation: int
    service: str
    log_id: str
    stream: str
    version: int = Field(sa_type=BigInt)
    event: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    reason: str
    at: datetime = Field(sa_type=UtcTime)


CONSUMER_TABLES: tuple[type[SQLModel], ...] = (
    GenerationRow,
    CursorRow,
    ParkedStreamRow,
    DroppedEventRow,
    DeadLetterRow,
)
