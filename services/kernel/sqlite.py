"""SQLite: one file, for all processes on one machine.

Transactions run on the event loop itself: one of ours takes less than a millisecond, less than handing it to a thread.
While it lasts the process does nothing else, which the write lock would mean anyway. A commit survives a power cut (WAL
with `synchronous=FULL`).
"""

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from sqlalchemy import URL, Connection, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from services.kernel.errors import ServiceError, TryLater
from services.kernel.patience import Patience
from services.kernel.sole_lock import FileLock, SoleLock

T = TypeVar("T")

_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


class SqliteBackEnd:
    """Implements `BackEnd`. The write lock is the file's; `BEGIN IMMEDIATE` takes it."""

    def __init__(self, url: URL, patience: Patience) -> None:
        self._patience = patience
        # Parameters hold personal data, and error messages end in logs.
        self.readers = create_engine(url.set(drivername="sqlite"), hide_parameters=True)
        self.writers = self.readers.execution_options(amends_writes=True)
        event.listen(self.readers, "connect", self._configure)
        event.listen(self.readers, "begin", _begin)

    def make_ready(self) -> None:
        """Makes the file a WAL one, for good. Here SQLite does not wait by itself while another process does it."""
        deadline = time.monotonic() + self._patience.lock_s
        while True:
            try:
                with closing(self.readers.raw_connection()) as connection:
                    connection.cursor().execute("PRAGMA journal_mode = WAL").close()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return

    def meaning_of(self, error: SQLAlchemyError) -> ServiceError | None:
        cause = error.orig if isinstance(error, DBAPIError) else None
        # The low byte is the primary code; SQLite adds details above it.
        if getattr(cause, "sqlite_errorcode", 0) & 0xFF not in _BUSY:
            return None
        return TryLater("DATABASE_BUSY", f"the database stayed locked for {self._patience.lock_s:g} s")

    async def run(self, act: Callable[[], T], *, writes: bool) -> T:  # noqa: ARG002 - all of them on the event loop
        return act()

    def sole_lock(self) -> SoleLock:
        return FileLock(Path(f"{self.readers.url.database}.active"))

    def close(self) -> None:
        self.readers.dispose()

    def _configure(self, connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None  # the driver must not begin transactions by itself, `_begin` does
        # Another process's lock. Our own requests cannot meet one another there.
        connection.execute(f"PRAGMA busy_timeout = {int(self._patience.lock_s * 1000)}")
        connection.execute("PRAGMA synchronous = FULL")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("amends_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
