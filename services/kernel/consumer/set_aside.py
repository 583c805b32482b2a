"""What a consumer remembers of events that it did not take as they came: parked streams, and what became of them.

A stream that goes on after it was parked is remembered up to the version that was taken from its dead letters: the
process may have died between putting a letter aside and moving its cursor, and then the event comes once more.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa
from sqlalchemy import bindparam
from sqlmodel import Session, SQLModel, col, delete, select

from contracts.events import PublicEvent
from services.kernel.consumer.tables import DroppedEventRow, ParkedStreamRow
from services.kernel.errors import NotFound

# Of plain columns, as it is done for every page (services/kernel/consumer/cursors.py).
_PARKED = SQLModel.metadata.tables[str(ParkedStreamRow.__tablename__)].c
_STREAMS = sa.select(_PARKED.stream, _PARKED.next_version, _PARKED.resumed_at).where(
    _PARKED.generation == bindparam("this_generation"), _PARKED.service == bindparam("this_service")
)
_DONE_WITH = SQLModel.metadata.tables[str(DroppedEventRow.__tablename__)].c
_DROPPED = sa.select(_DONE_WITH.log_id, _DONE_WITH.stream, _DONE_WITH.version).where(
    _DONE_WITH.service == bindparam("this_service")
)


@dataclass(frozen=True, slots=True)
class SetAside:
    """Of one service's log."""

    parked: Mapping[str, int]
    """Streams that are parked, each with the version of the event that is to be taken next."""
    resumed: Mapping[str, int]
    """Streams that were, each with the version up to which it was taken from the dead letters."""
    dropped: frozenset[tuple[str, str, int]]

    def waits(self, event: PublicEvent) -> bool:
        """Whether its stream is parked."""
        return event.stream in self.parked

    def is_done_with(self, event: PublicEvent) -> bool:
        """Whether an operator dropped it, or it was taken from the dead letters."""
        if event.streamversion < self.resumed.get(event.stream, 0):
            return True
        return (event.logid, event.stream, event.streamversion) in self.dropped


def set_aside(session: Session, generation: int, service: str) -> SetAside:
    rows = session.connection().execute(_STREAMS, {"this_generation": generation, "this_service": service}).all()
    dropped = session.connection().execute(_DROPPED, {"this_service": service}).all()
    return SetAside(
        parked={row.stream: row.next_version for row in rows if row.resumed_at is None},
        resumed={row.stream: row.next_version for row in rows if row.resumed_at is not None},
        dropped=frozenset((row.log_id, row.stream, row.version) for row in dropped),
    )


def park(session: Session, generation: int, event: PublicEvent, reason: str) -> None:
    """From now on the stream waits for an operator, at this event."""
    session.merge(
        ParkedStreamRow(
            generation=generation,
            service=event.service,
            stream=event.stream,
            log_id=event.logid,
            next_version=event.streamversion,
            reason=reason,
            since=datetime.now(UTC),
            resumed_at=None,
        )
    )


def parked_stream(session: Session, generation: int, service: str, stream: str) -> ParkedStreamRow:
    """Raises: NotFound, where it is not parked."""
    row = session.get(ParkedStreamRow, (generation, service, stream))
    if row is None or row.resumed_at is not None:
        raise NotFound("STREAM_NOT_PARKED", f"stream {stream} of the {service} service is not parked")
    return row


def parked_streams(session: Session, generation: int) -> list[ParkedStreamRow]:
    parked = select(ParkedStreamRow).where(
        col(ParkedStreamRow.generation) == generation, col(ParkedStreamRow.resumed_at).is_(None)
    )
    return list(session.exec(parked.order_by(col(ParkedStreamRow.since))).all())


def remember_dropped(session: Session, row: ParkedStreamRow) -> None:
    """The event at which the stream is parked is never to be taken, not by a later generation either."""
    session.merge(DroppedEventRow(service=row.service, log_id=row.log_id, stream=row.stream, version=row.next_version))


def forget_service(session: Session, generation: int, service: str) -> None:
    """What was parked of a log that is not there any more."""
    session.exec(
        delete(ParkedStreamRow).where(
            col(ParkedStreamRow.generation) == generation, col(ParkedStreamRow.service) == service
        )
    )
