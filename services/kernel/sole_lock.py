"""A lock that a process holds for as long as it lives, so that of several one is at work.

Nobody has to give it back: the operating system, or the database server, takes it from a process that dies at that
moment. So no clock is trusted, and nothing has to be written every second. A process that is frozen keeps it; to end
such a one is for whoever watches its health.
"""

import asyncio
import fcntl
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

_LOCK = int.from_bytes(b"active")
"""The lock's number on PostgreSQL, where it counts within one database."""


class SoleLock(Protocol):
    """One of it for each database and process. Not for use by several tasks at once."""

    async def take(self) -> bool:
        """Whether it is held now. It waits for nobody."""

    async def is_held(self) -> bool:
        """Whether it still is; asks whoever would know."""

    async def release(self) -> None: ...


class FileLock:
    """Implements `SoleLock` beside a database that is a file, for processes of one machine. The file stays there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None

    async def take(self) -> bool:
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        self._file = file
        return True

    async def is_held(self) -> bool:
        return self._file is not None

    async def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class ConnectionLock:
    """Implements `SoleLock` on PostgreSQL: held by a connection of its own, which ends with its process."""

    def __init__(self, engine: Engine) -> None:
        """
        Args:
            engine: without a pool, and in autocommit mode, so that no transaction is open meanwhile.
        """
        self._engine = engine
        self._connection: Connection | None = None

    async def take(self) -> bool:
        return await asyncio.to_thread(self._take)

    async def is_held(self) -> bool:
        return await asyncio.to_thread(self._is_held)

    async def release(self) -> None:
        await asyncio.to_thread(self._release)

    def _take(self) -> bool:
        try:
            self._connection = self._engine.connect()
            if self._connection.exec_driver_sql(f"SELECT pg_try_advisory_lock({_LOCK})").scalar():
                return True
        except SQLAlchemyError:
            pass  # the server is away, and nobody can hold anything there
        self._release()
        return False

    def _is_held(self) -> bool:
        try:
            return self._connection is not None and self._connection.exec_driver_sql("SELECT 1").scalar() == 1
        except SQLAlchemyError:
            return False

    def _release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.invalidate()  # the end of the connection is the end of the lock, whatever state either is in
        connection.close()
