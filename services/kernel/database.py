"""A service's database: short transactions, on SQLite or on PostgreSQL.

Guarantees, on both:
- One writer at a time. A writing transaction takes the database's write lock before it reads anything, so what it
  decides on cannot change under it, and positions are assigned in commit order, with any number of replicas
  (docs/decisions/0010).
- What was committed survives SIGKILL and a power cut.
- A reading transaction sees the database as it was at one moment. It blocks nobody, and nobody blocks it.
- Too much contention, or a database that is away, is `TryLater`: never a crash, never a wait without limit.
- A caller that is cancelled leaves once its transaction has ended, so nothing goes on behind anybody's back.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TypeVar

from sqlalchemy import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlmodel import Session

from services.kernel.errors import ServiceError, TransactionClash
from services.kernel.patience import SERVING, Patience
from services.kernel.sole_lock import SoleLock

T = TypeVar("T")

CLASH_ATTEMPTS = 3
"""How often a transaction is tried that the database gave up in favour of another one."""


class BackEnd(Protocol):
    """What is particular to one kind of database."""

    @property
    def readers(self) -> Engine: ...

    @property
    def writers(self) -> Engine:
        """Its transactions hold the write lock from their begin on."""

    def make_ready(self) -> None:
        """Done once to a database, before its tables are made."""

    def meaning_of(self, error: SQLAlchemyError) -> ServiceError | None:
        """What callers are told; None for an error that they cannot have to do with, a bug."""

    async def run(self, act: Callable[[], T], *, writes: bool) -> T:
        """Runs a transaction without keeping the event loop from its work for longer than a moment."""

    def sole_lock(self) -> SoleLock: ...

    def close(self) -> None: ...


class Database:
    """One of them for each database of a process. Async callers use `read` and `write`."""

    def __init__(self, url: str, patience: Patience = SERVING) -> None:
        """Connects to nothing yet.

        Raises:
            ValueError: the URL is of no kind of database that we know. The message tells nothing of it.
        """
        self._back_end = _back_end(url, patience)

    async def read(self, act: Callable[[Session], T]) -> T:
        """What `act` makes of the database as it is at one moment; `act` may be called more than once.

        Raises:
            TryLater: the database is away or overloaded.
        """
        return await self._back_end.run(lambda: _settle(self.reading, act), writes=False)

    async def write(self, act: Callable[[Session], T]) -> T:
        """Does `act` in a transaction, committed at its end; `act` may be called more than once.

        Raises:
            TryLater: the database is away, or others write for too long. If it went away during the commit, the effect
                may be there nevertheless.
        """
        return await self._back_end.run(lambda: _settle(self.writing, act), writes=True)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """The transaction that `write` makes, in the present thread; rolled back by any exception."""
        with self._told(), Session(self._back_end.writers, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """The transaction that `read` makes, in the present thread."""
        with self._told(), Session(self._back_end.readers, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def changing_tables(self) -> Iterator[Connection]:
        """A transaction for DDL, all or nothing; two of them wait for one another."""
        with self._told():
            self._back_end.make_ready()
            with self._back_end.writers.begin() as connection:
                yield connection

    def sole_lock(self) -> SoleLock:
        """A lock of which every process that has this database knows."""
        return self._back_end.sole_lock()

    def close(self) -> None:
        self._back_end.close()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except SQLAlchemyError as error:
            meaning = self._back_end.meaning_of(error)
            if meaning is None:
                raise
            raise meaning from error


def _settle(transaction: Callable[[], AbstractContextManager[Session]], act: Callable[[Session], T]) -> T:
    for attempt in range(1, CLASH_ATTEMPTS + 1):
        try:
            with transaction() as session:
                return act(session)
        except TransactionClash:
            if attempt == CLASH_ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _back_end(url: str, patience: Patience) -> BackEnd:
    # Each brings its driver along, which the other has no use for.
    parsed = _parse(url)
    match parsed.get_backend_name():
        case "sqlite":
            from services.kernel.sqlite import SqliteBackEnd

            return SqliteBackEnd(parsed, patience)
        case "postgresql":
            from services.kernel.postgres import PostgresBackEnd

            return PostgresBackEnd(parsed, patience)
        case other:
            raise ValueError(f"a database URL must start with sqlite:/// or postgresql://, not with {other}")


def _parse(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        # The cause would quote it, with its password.
        raise ValueError("a database URL must start with sqlite:/// or postgresql://") from None
