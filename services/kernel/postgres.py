"""PostgreSQL: a server, for any number of replicas on any number of machines.

- The write lock is an advisory one that lives as long as the transaction (docs/decisions/0010). Writers read what is
  committed at each statement (READ COMMITTED): a snapshot would be as old as the wait for the lock.
- Transactions run in threads, as many as there are connections. Of them only a few wait for the write lock, so that
  writers, however many, leave connections to the readers.
- A server that goes away is noticed within seconds, also where the network swallows everything. One that freezes while
  its machine goes on answering, or that is lost behind a proxy which keeps our end open, is given up on a little after
  the statement should have timed out there; until then all but the few requests that wait for it get `TryLater`. Once
  it is back, what is left in the pool of connections is tested before it is used.
"""

import math
import time
from collections.abc import Callable
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from services.kernel.errors import ServiceError, TransactionClash, TryLater
from services.kernel.lane import Lane
from services.kernel.patience import Patience
from services.kernel.sole_lock import ConnectionLock, SoleLock

T = TypeVar("T")

WRITERS = 2
"""One writes, and the next one already stands at the lock."""
READERS = 3
CONNECTIONS = WRITERS + READERS
"""Of one process to one database, at most."""
KEPT = 3
"""How many of them stay open when they are idle: a server's connections are few, and shared by all processes."""

CONNECT_S = 5
IDLE_IN_TRANSACTION_S = 10
"""After which the server ends a transaction of ours that does nothing: its process is frozen, and may hold the lock."""
SILENCE_S = 5
"""How long a network may swallow what is sent before a connection counts as lost."""

_WRITE_LOCK = int.from_bytes(b"amends")
"""The lock's number. It counts within one database, and nobody else may take it there."""

_CLASHES = {"40001", "40P01"}
"""Serialization failure, deadlock."""
_BUSY = {"55P03", "57014"}
"""Lock time-out, statement time-out."""
_AWAY = {"25006", "25P03", "57P01", "57P02", "57P03", "57P05"}
"""A stand-by, ended for idling, shutting down, crashed, starting, ended for idling."""
_AWAY_CLASSES = {"08", "53", "58"}
"""Connection lost, out of disk or memory or connections, the server's own trouble."""


class PostgresBackEnd:
    """Implements `BackEnd`, with psycopg 3."""

    def __init__(self, url: URL, patience: Patience) -> None:
        self._patience = patience
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            hide_parameters=True,
            pool_size=KEPT,
            max_overflow=CONNECTIONS - KEPT,
            pool_timeout=patience.queue_s,
            pool_pre_ping=True,
            connect_args=_connect_args(url, patience),
        )
        self.readers = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        self.writers = engine.execution_options(isolation_level="READ COMMITTED")
        event.listen(self.writers, "begin", _take_write_lock)
        event.listen(engine, "do_connect", _connector(patience.statement_s + SILENCE_S))
        self._writing = Lane(WRITERS, wait_s=patience.queue_s)
        self._reading = Lane(READERS, wait_s=patience.queue_s)

    def make_ready(self) -> None:
        """Whoever created the database has made it ready."""

    def meaning_of(self, error: SQLAlchemyError) -> ServiceError | None:
        if isinstance(error, PoolTimeout):
            return TryLater("DATABASE_BUSY", f"no connection became free within {self._patience.queue_s:g} s")
        if not isinstance(error, DBAPIError):
            return None
        state: str | None = getattr(error.orig, "sqlstate", None)
        if state in _CLASHES:
            return TransactionClash("DATABASE_BUSY", "the transaction gave way to others, several times")
        if state in _BUSY:
            return TryLater("DATABASE_BUSY", "the database stayed locked, or took too long")
        if _is_away(error, state):
            return TryLater("DATABASE_UNAVAILABLE", "the database does not answer")
        return None

    async def run(self, act: Callable[[], T], *, writes: bool) -> T:
        return await (self._writing if writes else self._reading).run(act)

    def sole_lock(self) -> SoleLock:
        engine = create_engine(
            self.readers.url,
            hide_parameters=True,
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",
            connect_args=_connect_args(self.readers.url, self._patience),
        )
        # Whoever holds it asks twice a second whether it still does, and nothing of that takes long.
        event.listen(engine, "do_connect", _connector(SILENCE_S))
        return ConnectionLock(engine)

    def close(self) -> None:
        self._writing.close()
        self._reading.close()
        self.readers.dispose()


class _Connection(psycopg.Connection[Any]):
    """Does not wait for ever: one that hears nothing for too long is closed, and counts as lost."""

    silence_s = math.inf

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        limit_s = self.silence_s if timeout is None else timeout
        since = time.monotonic()
        try:
            return super().wait(gen, interval, limit_s)
        except psycopg.OperationalError:
            if time.monotonic() - since >= limit_s:
                self.pgconn.finish()
            raise


def _connector(silence_s: float) -> Callable[..., psycopg.Connection[Any]]:
    """How SQLAlchemy is to connect."""

    def connect(_dialect: object, _record: object, arguments: list[Any], named: dict[str, Any]) -> Any:
        connection = _Connection.connect(*arguments, **named)
        connection.silence_s = silence_s
        return connection

    return connect


def _is_away(error: DBAPIError, state: str | None) -> bool:
    if error.connection_invalidated or state in _AWAY or (state or "")[:2] in _AWAY_CLASSES:
        return True
    # Without a state it comes from the client's side: it could not connect, or lost the connection.
    return state is None and isinstance(error, OperationalError | InterfaceError)


def _take_write_lock(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITE_LOCK})")


def _connect_args(url: URL, patience: Patience) -> dict[str, object]:
    settings = {
        "TimeZone": "UTC",
        "lock_timeout": int(patience.lock_s * 1000),
        "statement_timeout": int(patience.statement_s * 1000),
        "idle_in_transaction_session_timeout": IDLE_IN_TRANSACTION_S * 1000,
        # Of the server's end: what a machine that vanished has held is free again.
        "tcp_keepalives_idle": SILENCE_S,
        "tcp_keepalives_interval": 1,
        "tcp_keepalives_count": 3,
    }
    given = url.query.get("options", "")
    ours = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return {
        "options": f"{given} {ours}" if isinstance(given, str) else ours,
        "application_name": "amends",
        "connect_timeout": CONNECT_S,
        "keepalives_idle": SILENCE_S,
        "keepalives_interval": 1,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_S * 1000,
    }
