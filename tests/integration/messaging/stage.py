"""What tests of following need: a service with a log, and a consumer that can be broken in many ways."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlmodel import Field, Session, SQLModel, col, select

from contracts.events import PublicEvent
from messaging.feed import Feed
from messaging.port import Cursor, DeadLetter, DeadLetters, Page, Taker, Transport
from services.kernel import event_log
from services.kernel.consumer.consumer import Consumer
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.database import Database
from tests.support.builders import SagaCommands
from tests.support.databases import sqlite_database
from tests.support.service_client import SagaAt, Service


class TakenRow(SQLModel, table=True):
    """An event that was taken. Nothing keeps one from being taken twice, but the consumer."""

    __tablename__ = "taken_by_a_test"

    place: int | None = Field(default=None, primary_key=True)
    log_id: str
    event_id: str


class OrderLog:
    """An order service, and what is in its log."""

    def __init__(self, service: Service, url: str, database_url: str) -> None:
        self.url = url
        self._service = service
        self._database_url = database_url
        self._feed = Feed("order", url)

    async def close(self) -> None:
        await self._feed.close()

    async def place(self) -> SagaAt:
        saga = SagaAt(self._service, SagaCommands())
        assert await saga.outcome(saga.commands.place_order()) == "done"
        return saga

    async def confirm(self, saga: SagaAt) -> None:
        assert await saga.outcome(saga.commands.confirm_order()) == "done"

    async def fill(self, orders: int) -> list[SagaAt]:
        """Places orders, then confirms them: streams that are interleaved."""
        sagas = [await self.place() for _ in range(orders)]
        for saga in sagas:
            await self.confirm(saga)
        return sagas

    async def events(self) -> list[PublicEvent]:
        return list((await self._feed.read(Cursor(), limit=1000)).events)

    async def ids(self) -> list[str]:
        return [event.id for event in await self.events()]

    async def log_id(self) -> str:
        return (await self._feed.read(Cursor(), limit=1)).log_id

    def renew(self) -> None:
        database = Database(self._database_url)
        with database.writing() as session:
            event_log.renew_log_id(session)
        database.close()


@dataclass(frozen=True, slots=True)
class Wires:
    """How one consumer hears of events."""

    transport: Transport
    dead_letters: Callable[[Database], DeadLetters]


class Subject:
    """The consumer under test. What it took outlives its process, as its database does."""

    def __init__(self, folder: Path, wires: Wires, services: tuple[str, ...] = ("order",)) -> None:
        self.poisonous: set[str] = set()
        """Streams whose events it cannot take."""
        self.is_database_away = False
        self.attempts = 0
        self._wires = wires
        self._services = services
        self._database = Database(sqlite_database(folder, "consumer", (*CONSUMER_TABLES, TakenRow)))
        self.dead_letters = wires.dead_letters(self._database)

    def close(self) -> None:
        self._database.close()

    def consumer(self) -> Consumer:
        """As a process that has just been started would make it."""
        return Consumer(
            "subject", self._services, database=self._database, apply=self._apply, dead_letters=self.dead_letters
        )

    @asynccontextmanager
    async def following(self, taker: Taker | None = None) -> AsyncIterator[None]:
        """Its process runs; at the end it is cut off wherever it happens to be."""
        async with running(self._wires.transport.follow(taker or self.consumer())):
            yield

    def taken(self, log_id: str | None = None) -> list[str]:
        """The ids of the events in the order in which they were taken, of one log or of all."""
        with self._database.reading() as session:
            rows = session.exec(select(TakenRow).order_by(col(TakenRow.place))).all()
            return [row.event_id for row in rows if log_id in (None, row.log_id)]

    async def reasons(self) -> dict[str, str]:
        """Why each of the dead letters is one, by the event's id."""
        return {letter.event.id: letter.reason for letter in await self.dead_letters.letters()}

    async def parked(self) -> list[str]:
        return [row.stream for row in await self.consumer().parked()]

    def _apply(self, session: Session, event: PublicEvent, _: int) -> None:
        self.attempts += 1
        if self.is_database_away:
            raise OperationalError("INSERT", None, Exception("disk I/O error"))
        if event.stream in self.poisonous:
            raise ValueError("it is poisonous")
        session.add(TakenRow(log_id=event.logid, event_id=event.id))


class _Around:
    """A taker around another one."""

    def __init__(self, taker: Taker) -> None:
        self._taker = taker
        self.name = taker.name
        self.services = taker.services

    async def cursor(self, service: str) -> Cursor:
        return await self._taker.cursor(service)

    async def take(self, page: Page) -> bool:
        return await self._taker.take(page)

    async def replaced(self, service: str) -> None:
        await self._taker.replaced(service)


class FreezesOnceTaken(_Around):
    """Takes the first events that come, and then nobody hears of it: the transport does not learn that it did."""

    def __init__(self, taker: Taker) -> None:
        super().__init__(taker)
        self.has_taken = False

    async def take(self, page: Page) -> bool:
        taken = await super().take(page)
        if page.events:
            self.has_taken = True
            await asyncio.Event().wait()
        return taken


class IsHandedAllTwice(_Around):
    async def take(self, page: Page) -> bool:
        return await super().take(page) and await super().take(page)


class KeepsLetters:
    """Dead letters that are put, and then nobody hears of it."""

    def __init__(self, dead_letters: DeadLetters) -> None:
        self._dead_letters = dead_letters
        self.has_put = False

    async def put(self, letter: DeadLetter) -> None:
        await self._dead_letters.put(letter)
        self.has_put = True
        await asyncio.Event().wait()

    async def letters(self) -> list[DeadLetter]:
        return await self._dead_letters.letters()

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        await self._dead_letters.remove(letters)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs it beside the test, which fails if it ends by itself."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
    if not task.cancelled():
        raise AssertionError("it ended by itself") from task.exception()
