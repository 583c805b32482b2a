"""A consumer for tests: it keeps the events that it took, in order, and fails where a test tells it to."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from sqlmodel import Field, Session, SQLModel, col, select

from contracts.events import EventData, PublicEvent
from messaging.port import Page
from services.kernel.consumer.consumer import Consumer
from services.kernel.consumer.dead_letters import TableOfDeadLetters
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.database import Database
from services.kernel.errors import TryLater
from tests.support.databases import Databases


class TakenRow(SQLModel, table=True):
    """One event that was taken. Taking it twice makes two rows."""

    __tablename__ = "taken"

    number: int | None = Field(default=None, primary_key=True)
    generation: int
    stream: str
    version: int


class Recorder:
    """The effect of the consumer under test."""

    def __init__(self) -> None:
        self.poison: set[str] = set()
        """Ids of events that cannot be taken."""
        self.unavailable: Exception | None = None
        self.unavailable_at: str | None = None
        """The id of the event at which the database goes away."""
        self.reads: type[EventData] | None = None
        """What it expects every event to say."""

    def apply(self, session: Session, event: PublicEvent, generation: int) -> None:
        session.add(TakenRow(generation=generation, stream=event.stream, version=event.streamversion))
        session.flush()
        if self.unavailable:
            raise self.unavailable
        if event.id == self.unavailable_at:
            raise TryLater("DATABASE_UNAVAILABLE", "gone")
        if self.reads:
            event.read(self.reads)
        if event.id in self.poison:
            raise ValueError(f"cannot digest {event.id}")


class Consuming:
    """A consumer with a database of its own."""

    def __init__(self, databases: Databases, name: str = "recorder", services: tuple[str, ...] = ("order",)) -> None:
        self.database = Database(databases.url("consumer", (*CONSUMER_TABLES, TakenRow)))
        self.recorder = Recorder()
        self.dead_letters = TableOfDeadLetters(self.database)
        self._name = name
        self._services = services
        self.consumer = self.generation(1)

    def generation(self, number: int) -> Consumer:
        return Consumer(
            self._name,
            self._services,
            database=self.database,
            apply=self.recorder.apply,
            dead_letters=self.dead_letters,
            generation=number,
        )

    def taken(self, *, generation: int = 1) -> list[tuple[str, int]]:
        with self.database.reading() as session:
            taken = select(TakenRow).where(col(TakenRow.generation) == generation)
            rows = session.exec(taken.order_by(col(TakenRow.number))).all()
            return [(row.stream, row.version) for row in rows]


def fact(stream: str, version: int, position: int, *, log_id: str = "log-1") -> PublicEvent:
    return PublicEvent(
        id=f"{stream}:{version}",
        source="/services/order",
        type="OrderConfirmed",
        subject=stream,
        time=datetime.now(UTC),
        causationid=f"{uuid4()}/ConfirmOrder",
        stream=stream,
        streamversion=version,
        position=position,
        logid=log_id,
        data={},
    )


def page(*events: PublicEvent, after: int | None = None) -> Page:
    """The piece of the log that holds these events."""
    first, last = events[0], events[-1]
    return Page("order", first.logid, first.position - 1 if after is None else after, tuple(events), last.position)


def versions(taken: Sequence[tuple[str, int]], stream: str) -> list[int]:
    return [version for name, version in taken if name == stream]
