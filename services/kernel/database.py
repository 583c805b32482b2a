"""A service's database: short transactions, and everything that is particular to SQLite.

Guarantees:
- One writer at a time. A writing transaction takes the database's write lock before it reads anything, so what it
  decides on cannot change under it, and positions are assigned in commit order.
- What was committed survives SIGKILL and a power cut (WAL with `synchronous=FULL`, 0.3 ms a commit).
- Too much contention is `TryLater`, never a crash and never a wait without limit.

Calls are synchronous, also from async endpoints: a transaction of ours takes less than a millisecond, less than
handing it to a thread. While it lasts the process does nothing else, which the lock would mean anyway.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection, DateTime, Dialect, create_engine, event, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.types import TypeDecorator
from sqlmodel import Session, SQLModel

from services.kernel.errors import TryLater

BUSY_TIMEOUT_S = 1.0
"""How long to wait for another process's write lock. Our own requests cannot meet one another there."""

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class UtcTime(TypeDecorator[datetime]):
    """A moment. SQLite forgets time zones, so it is always UTC, and aware again when read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.astimezone(UTC) if value else None

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        return value.replace(tzinfo=UTC) if value else None


class Database:
    def __init__(self, url: str) -> None:
        if make_url(url).get_backend_name() != "sqlite":
            raise ValueError(f"a database URL must start with sqlite:///, got {make_url(url).get_backend_name()}")
        # Parameters hold personal data, and error messages end in logs.
        self._engine = create_engine(url, hide_parameters=True)
        self._writing_engine = self._engine.execution_options(amends_writes=True)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)

    def create_tables(self, tables: Sequence[type[SQLModel]]) -> None:
        """Creates those that do not exist yet."""
        self._use_wal()
        with self._writing_engine.begin() as connection:
            SQLModel.metadata.create_all(
                connection, tables=[SQLModel.metadata.tables[str(t.__tablename__)] for t in tables]
            )

    def _use_wal(self) -> None:
        """Makes the file a WAL one, for good. Here SQLite does not wait by itself while another replica starts."""
        deadline = time.monotonic() + BUSY_TIMEOUT_S
        while True:
            try:
                with closing(self._engine.raw_connection()) as connection:
                    connection.cursor().execute("PRAGMA journal_mode = WAL").close()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that may write; committed at its end, or rolled back by any exception.

        Raises:
            TryLater: another process holds the write lock for too long.
        """
        with _busy_is_try_later(), Session(self._writing_engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A consistent view of the database at one moment; it blocks nobody and nobody blocks it."""
        with _busy_is_try_later(), Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session


@contextmanager
def _busy_is_try_later() -> Iterator[None]:
    try:
        yield
    except OperationalError as error:
        # The low byte is the primary code; SQLite adds details above it.
        if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
            raise
        raise TryLater("DATABASE_BUSY", f"the database stayed locked for {BUSY_TIMEOUT_S:g} s") from error


def _configure(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself, `_begin` does
    connection.execute(f"PRAGMA busy_timeout = {int(BUSY_TIMEOUT_S * 1000)}")
    connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("amends_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
