"""Reading what a service knows: a stream's events, the state folded from them, and the barrier's rows beside them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlmodel import Session, col, select

from contracts.base import Sought
from services.kernel import event_log
from services.kernel.aggregates import AnyAggregate, aggregate_of
from services.kernel.barrier import EntryState
from services.kernel.database import Database
from services.kernel.errors import NotFound
from services.kernel.tables import CommandRow

Version = Annotated[int | None, Query(ge=1, description="Read the stream as it was at this version.")]


class StoredEvent(BaseModel):
    position: int
    version: int
    type: str
    data: dict[str, Any]
    key: str
    command: str
    saga_id: str | None
    recorded_at: datetime


class BarrierEntry(BaseModel):
    """What became of one command. A tombstone is the entry of an undo that found nothing to undo."""

    key: str
    command: str
    phase: str
    outcome: str
    code: str | None
    """Of a refusal."""
    recorded_at: datetime
    position: int | None
    """Where the log ended when this was written; null where that was not kept yet."""


class StreamView(BaseModel):
    stream: str
    version: int
    state: dict[str, Any]
    events: list[StoredEvent]
    barrier: list[BarrierEntry]


def stream_routes(database: Database, aggregates: Sequence[AnyAggregate]) -> APIRouter:
    router = APIRouter(tags=["streams"])

    @router.get("/streams/{stream}")
    async def read_stream(stream: Sought, version: Version = None) -> StreamView:
        """One aggregate: its stored events and the state folded from them, now or as of a past version."""
        aggregate = aggregate_of(stream, aggregates)
        return await database.read(lambda session: view_stream(session, aggregate, stream, version))

    return router


def view_stream(session: Session, aggregate: AnyAggregate, stream: str, version: int | None) -> StreamView:
    """Raises `NotFound` where there is no such stream, or no such version of it."""
    head = event_log.head(session, stream)
    entries = session.exec(
        select(CommandRow).where(col(CommandRow.stream) == stream).order_by(col(CommandRow.recorded_at))
    ).all()
    if not head and not entries:
        raise NotFound("STREAM_NOT_FOUND", f"there is no stream {stream}")
    if version and version > head:
        raise NotFound("VERSION_NOT_FOUND", f"stream {stream} is at version {head}, not yet at {version}")
    rows = event_log.read(session, stream, up_to=version or head)
    state = aggregate.fold(((row.type, row.data) for row in rows), aggregate.initial)
    return StreamView(
        stream=stream,
        version=len(rows),
        state=aggregate.describe(state),
        events=[StoredEvent.model_validate(row.model_dump()) for row in rows],
        barrier=[_entry(row) for row in entries],
    )


def _entry(row: CommandRow) -> BarrierEntry:
    refused = row.outcome == EntryState.REFUSED
    code = (row.reply or {}).get("code") if refused else None
    return BarrierEntry.model_validate({**row.model_dump(exclude={"reply"}), "code": code})
