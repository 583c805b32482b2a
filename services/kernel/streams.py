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
from services.kernel.errors import MalformedRequest, NotFound
from services.kernel.event_log import Snapshots
from services.kernel.tables import CommandRow, EventRow

Version = Annotated[int | None, Query(ge=1, description="Read the stream as it was at this version.")]
Sagas = Annotated[
    list[Sought] | None,
    Query(
        alias="saga_id",
        max_length=100,
        description="Only what these sagas did; the state is the stream's all the same.",
    ),
]


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


def stream_routes(database: Database, aggregates: Sequence[AnyAggregate], snapshots: Snapshots) -> APIRouter:
    router = APIRouter(tags=["streams"])

    @router.get("/streams/{stream}")
    async def read_stream(stream: Sought, version: Version = None, sagas: Sagas = None) -> StreamView:
        """One aggregate: its stored events and the state folded from them, now or as of a past version.

        Of a stream that many sagas share, what a few of them did is found at once, however long it is.
        """
        aggregate = aggregate_of(stream, aggregates)
        if sagas is not None:
            if version is not None:
                raise MalformedRequest("ask for a past version, or for what some sagas did, not for both")
            return await database.read(lambda session: view_sagas(session, aggregate, stream, sagas, snapshots))
        return await database.read(lambda session: view_stream(session, aggregate, stream, version))

    return router


def view_sagas(
    session: Session, aggregate: AnyAggregate, stream: str, sagas: Sequence[str], snapshots: Snapshots
) -> StreamView:
    """What these sagas did to a stream, and the state of the whole. Raises `NotFound` where there is no such stream."""
    snapshot = snapshots.get(stream)  # before the transaction sees anything, so that it is no younger
    current = event_log.load(session, aggregate, stream, snapshot)
    if current is not snapshot:
        snapshots.keep(stream, current)
    of_stream = select(CommandRow).where(col(CommandRow.stream) == stream)
    if not current.version and session.exec(of_stream.limit(1)).first() is None:
        raise NotFound("STREAM_NOT_FOUND", f"there is no stream {stream}")
    of_sagas = of_stream.where(col(CommandRow.saga_id).in_(sagas)).order_by(col(CommandRow.recorded_at))
    entries = session.exec(of_sagas).all()
    return StreamView(
        stream=stream,
        version=current.version,
        state=aggregate.describe(current.state),
        events=[_event(row) for row in event_log.read_sagas(session, stream, sagas)],
        barrier=[_entry(row) for row in entries],
    )


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
        events=[_event(row) for row in rows],
        barrier=[_entry(row) for row in entries],
    )


def _event(row: EventRow) -> StoredEvent:
    return StoredEvent.model_validate(row.model_dump())


def _entry(row: CommandRow) -> BarrierEntry:
    refused = row.outcome == EntryState.REFUSED
    code = (row.reply or {}).get("code") if refused else None
    return BarrierEntry.model_validate({**row.model_dump(exclude={"reply"}), "code": code})
