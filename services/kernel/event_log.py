"""The event log: the append-only history from which all state is derived.

Guarantees:
- A stream's versions start at 1 and have no gap. An append states the version it expects; if the stream has moved on
  it raises `ConcurrencyError` and adds nothing (`unique(stream, version)` is what makes this hold).
- Positions grow in commit order, so a reader that tails the log by position never skips an event. Why: a writer holds
  the database's single write lock from before its position is assigned until after its commit (database.py).
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock
from typing import Any, Generic, TypeVar
from uuid import uuid4

from sqlalchemy import func, insert
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, SQLModel, col, select

from contracts.wire import EventRef
from services.kernel.aggregates import Aggregate
from services.kernel.errors import ConcurrencyError
from services.kernel.tables import EventRow, LogRow

S = TypeVar("S")
E = TypeVar("E")

_INSERT = insert(SQLModel.metadata.tables["events"])

SNAPSHOTS = 1024
"""How many streams' states are kept in memory."""


@dataclass(frozen=True, slots=True)
class Versioned(Generic[S]):
    """A state, and how many events it was folded from."""

    state: S
    version: int


@dataclass(frozen=True, slots=True)
class Origin:
    """Which command an event comes from."""

    key: str
    command: str
    saga_id: str | None


class Snapshots:
    """States of recently used streams, so that a long stream (a popular SKU's stock) is not folded from its start.

    Only a shortcut for the fold: events committed since are always added, and losing it loses nothing. Only states
    made of committed events may be kept. Transactions in several threads share it.
    """

    def __init__(self) -> None:
        self._states: OrderedDict[str, Versioned[Any]] = OrderedDict()
        self._one_at_a_time = Lock()

    def get(self, stream: str) -> Versioned[Any] | None:
        with self._one_at_a_time:
            return self._states.get(stream)

    def keep(self, stream: str, state: Versioned[Any]) -> None:
        with self._one_at_a_time:
            self._states[stream] = state
            self._states.move_to_end(stream)
            if len(self._states) > SNAPSHOTS:
                self._states.popitem(last=False)


def load(session: Session, aggregate: Aggregate[S, E], stream: str, since: Versioned[S] | None = None) -> Versioned[S]:
    """The present state of a stream, which may have no events yet."""
    start = since or Versioned(aggregate.initial, 0)
    rows = session.execute(
        select(EventRow.type, EventRow.data)
        .where(col(EventRow.stream) == stream, col(EventRow.version) > start.version)
        .order_by(col(EventRow.version))
    ).all()
    if not rows:
        return start
    return Versioned(aggregate.fold(((row[0], row[1]) for row in rows), start.state), start.version + len(rows))


def append(
    session: Session,
    aggregate: Aggregate[S, E],
    stream: str,
    events: Sequence[E],
    *,
    expected_version: int,
    origin: Origin,
) -> tuple[EventRef, ...]:
    """Adds events to a stream that is at `expected_version`.

    Raises:
        ConcurrencyError: it is not.
    """
    now = datetime.now(UTC)
    rows = []
    for version, event in enumerate(events, expected_version + 1):
        name, data = aggregate.encode(event)
        rows.append(
            {
                "stream": stream,
                "version": version,
                "type": name,
                "data": data,
                "key": origin.key,
                "command": origin.command,
                "saga_id": origin.saga_id,
                "recorded_at": now,
            }
        )
    try:
        # As plain rows: the session would track each as an object, for twice the time.
        session.connection().execute(_INSERT, rows)
    except IntegrityError as error:
        raise ConcurrencyError(stream, expected_version) from error
    return tuple(EventRef(type=row["type"], version=row["version"]) for row in rows)


def head(session: Session, stream: str) -> int:
    """The version of the stream's last event, 0 if it has none."""
    version = session.execute(select(func.max(EventRow.version)).where(col(EventRow.stream) == stream)).scalar()
    return version or 0


def read(session: Session, stream: str, *, up_to: int) -> Sequence[EventRow]:
    """A stream's stored events from the first to the one of version `up_to`."""
    return session.exec(
        select(EventRow)
        .where(col(EventRow.stream) == stream, col(EventRow.version) <= up_to)
        .order_by(col(EventRow.version))
    ).all()


def read_sagas(session: Session, stream: str, sagas: Sequence[str]) -> Sequence[EventRow]:
    """The stored events of a stream that are these sagas' doing."""
    rows = session.exec(select(EventRow).where(col(EventRow.stream) == stream, col(EventRow.saga_id).in_(sagas))).all()
    # Were the database asked for the order, SQLite would walk the whole stream along the index that has it.
    return sorted(rows, key=lambda row: row.version)


def read_log(session: Session, *, after: int, limit: int) -> Sequence[EventRow]:
    """The events of all streams after a position, in the order of their commits."""
    return session.exec(
        select(EventRow).where(col(EventRow.position) > after).order_by(col(EventRow.position)).limit(limit)
    ).all()


def log_head(session: Session) -> int:
    """The position of the log's last event, 0 if it has none."""
    return session.execute(select(func.max(EventRow.position))).scalar() or 0


def streams(session: Session, prefix: str) -> Sequence[str]:
    """The streams whose ids start with the prefix, in their order."""
    return session.exec(
        select(EventRow.stream)
        .where(col(EventRow.version) == 1, col(EventRow.stream) >= prefix, col(EventRow.stream) < prefix + "\U0010ffff")
        .order_by(col(EventRow.stream))
    ).all()


def ensure_log_id(session: Session) -> None:
    """Gives a new log its id."""
    if session.exec(select(LogRow)).first() is None:
        session.add(LogRow(log_id=str(uuid4()), created_at=datetime.now(UTC)))


def log_id(session: Session) -> str:
    return session.exec(select(LogRow.log_id)).one()


def renew_log_id(session: Session) -> str:
    """Makes it another log to all who follow it, so that they begin anew: it was restored from a back-up.

    Positions that were given since the back-up are given again, to other events; nobody could tell otherwise.
    """
    row = session.exec(select(LogRow)).one()
    session.delete(row)
    session.flush()
    renewed = LogRow(log_id=str(uuid4()), created_at=datetime.now(UTC))
    session.add(renewed)
    return renewed.log_id
