"""Takes events into a database, each once, whatever the transport does and whenever the process dies.

Guarantees:
- An event's effect and the cursor's move are one transaction, so nothing is lost or doubled by a crash in between.
  Events of one service are taken in the order of its log, so the cursor is all the inbox that is needed: what lies
  behind it was taken (docs/decisions/0008).
- An event that cannot be taken, after a few attempts, becomes a dead letter and parks its stream: the stream's later
  events wait behind it, all other streams go on. An operator has it replayed, or dropped.
- A database that is busy is no fault of the event: that is `NotNow`, and parks nothing.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, col, select

from contracts.events import PublicEvent
from messaging.port import Cursor, DeadLetter, DeadLetters, NotNow, Page
from services.kernel.consumer.cursors import cursor_at, forget_cursor, move_cursor
from services.kernel.consumer.tables import ParkedStreamRow
from services.kernel.database import Database
from services.kernel.errors import NotFound, TryLater

ATTEMPTS = 3
"""How often an event is tried before it becomes a dead letter."""
_PAUSE_S = 0.05

Apply = Callable[[Session, PublicEvent, int], None]
"""Takes one event into a generation of the read model, within the transaction."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of the dead letters of a stream."""

    service: str
    stream: str
    taken: int
    still_parked: str | None
    """Why it still is, if it is."""


class Consumer:
    """Implements `Taker` for one generation of a read model."""

    def __init__(
        self,
        name: str,
        services: tuple[str, ...],
        *,
        database: Database,
        apply: Apply,
        dead_letters: DeadLetters,
        generation: int = 1,
    ) -> None:
        self._name = name
        self._services = services
        self._database = database
        self._apply = apply
        self._dead_letters = dead_letters
        self.generation = generation
        # One page or replay at a time. A transaction never waits, so this costs nobody anything.
        self._turn = asyncio.Lock()
        self._log = structlog.get_logger().bind(consumer=name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def services(self) -> tuple[str, ...]:
        return self._services

    def cursor(self, service: str) -> Cursor:
        with _not_now_if_busy(), self._database.reading() as session:
            return cursor_at(session, self.generation, service)

    async def replaced(self, service: str) -> None:
        """Begins anew with that log. What is applied twice by it is for `apply` to notice."""
        self._log.warning("log replaced", source=service)
        with _not_now_if_busy(), self._database.writing() as session:
            forget_cursor(session, self.generation, service)

    async def take(self, page: Page) -> bool:
        async with self._turn:
            cursor = self.cursor(page.service)
            if not page.follows(cursor):
                return False
            fresh = [event for event in page.events if event.position > cursor.position]
            end = Cursor(page.log_id, max(page.position, cursor.position))
            if self._take_together(page.service, fresh, end):
                return True
            for event in fresh:
                await self._take_alone(event)
            self._move(page.service, end)
            return True

    async def parked(self) -> list[ParkedStreamRow]:
        with self._database.reading() as session:
            return list(
                session.exec(select(ParkedStreamRow).where(col(ParkedStreamRow.generation) == self.generation)).all()
            )

    async def replay(self, service: str, stream: str) -> Replayed:
        """Takes the dead letters of a parked stream, in order, until one cannot be taken again.

        Raises:
            NotFound: the stream is not parked.
        """
        async with self._turn:
            return await self._replay(service, stream)

    async def drop(self, service: str, stream: str) -> Replayed:
        """Gives up on the event that parked the stream, and takes those that waited behind it.

        Raises:
            NotFound: the stream is not parked.
        """
        async with self._turn:
            with self._database.writing() as session:
                row = self._parked(session, service, stream)
                self._log.warning("event dropped", source=service, stream=stream, version=row.next_version)
                row.next_version += 1
                session.add(row)
            return await self._replay(service, stream)

    def _take_together(self, service: str, events: Sequence[PublicEvent], end: Cursor) -> bool:
        """All of a page in one transaction, which is fast. False, and no effect, where that cannot be."""
        try:
            with _not_now_if_busy(), self._database.writing() as session:
                if self._parked_among(session, service, events):
                    return False
                # Read again under the write lock: another process of this consumer may have been faster.
                at = cursor_at(session, self.generation, service)
                for event in events:
                    if event.position > at.position:
                        self._apply(session, event, self.generation)
                move_cursor(session, self.generation, service, _further(at, end))
        except NotNow:
            raise
        except Exception:
            # Whatever it is, the events are now tried one by one, and it shows again.
            return False
        return True

    async def _take_alone(self, event: PublicEvent) -> None:
        with self._database.reading() as session:
            parked = self._parked_among(session, event.service, [event])
        if parked:
            waits = f"waits behind version {parked[0].next_version}, which could not be taken"
            await self._dead_letters.put(DeadLetter(event, waits, datetime.now(UTC), self.generation))
            self._move(event.service, Cursor(event.logid, event.position))
            return
        reason = await self._attempt(event)
        if reason is not None:
            await self._park(event, reason)

    async def _attempt(self, event: PublicEvent) -> str | None:
        """Why it could not be taken, if it could not."""
        reason = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with _not_now_if_busy(), self._database.writing() as session:
                    self._apply_once(session, event)
            except NotNow:
                raise
            except Exception as error:
                reason = _in_one_line(error)
                if attempt == ATTEMPTS:
                    self._log.exception("event parked", source=event.service, id=event.id, type=event.type)
                await asyncio.sleep(_PAUSE_S)
            else:
                return None
        return reason

    def _apply_once(self, session: Session, event: PublicEvent) -> None:
        """Applies the event and moves the cursor, unless another process of this consumer was faster."""
        if event.position > cursor_at(session, self.generation, event.service).position:
            self._apply(session, event, self.generation)
            move_cursor(session, self.generation, event.service, Cursor(event.logid, event.position))

    async def _park(self, event: PublicEvent, reason: str) -> None:
        # First the letter, then the cursor: a crash in between brings the event again, never loses it.
        await self._dead_letters.put(DeadLetter(event, reason, datetime.now(UTC), self.generation))
        with _not_now_if_busy(), self._database.writing() as session:
            session.add(
                ParkedStreamRow(
                    generation=self.generation,
                    service=event.service,
                    stream=event.stream,
                    next_version=event.streamversion,
                    reason=reason,
                    since=datetime.now(UTC),
                )
            )
            move_cursor(session, self.generation, event.service, Cursor(event.logid, event.position))

    async def _replay(self, service: str, stream: str) -> Replayed:
        with self._database.reading() as session:
            next_version = self._parked(session, service, stream).next_version
        mine = [
            letter
            for letter in await self._dead_letters.letters()
            if letter.identity[:3] == (self.generation, service, stream)
        ]
        mine.sort(key=lambda letter: letter.event.streamversion)
        done = [letter for letter in mine if letter.event.streamversion < next_version]
        taken = 0
        for letter in mine[len(done) :]:
            reason = self._take_letter(letter)
            if reason is not None:
                await self._dead_letters.remove(done)
                return Replayed(service, stream, taken, reason)
            done.append(letter)
            taken += 1
        # Together, because a broker's queue is read whole for it. A crash before it is covered by `next_version`.
        await self._dead_letters.remove(done)
        with self._database.writing() as session:
            session.delete(self._parked(session, service, stream))
        self._log.info("stream goes on", source=service, stream=stream, taken=taken)
        return Replayed(service, stream, taken, None)

    def _take_letter(self, letter: DeadLetter) -> str | None:
        event = letter.event
        try:
            with _not_now_if_busy(), self._database.writing() as session:
                self._apply(session, event, self.generation)
                row = self._parked(session, event.service, event.stream)
                row.next_version = event.streamversion + 1
                session.add(row)
                # A crash after the letter was put aside may have left the cursor just before it.
                if cursor_at(session, self.generation, event.service).position < event.position:
                    move_cursor(session, self.generation, event.service, Cursor(event.logid, event.position))
        except NotNow:
            raise
        except Exception as error:
            reason = _in_one_line(error)
            self._log.exception("event still parked", source=event.service, id=event.id, type=event.type)
            with self._database.writing() as session:
                row = self._parked(session, event.service, event.stream)
                row.next_version, row.reason = event.streamversion, reason
                session.add(row)
            return reason
        return None

    def _parked(self, session: Session, service: str, stream: str) -> ParkedStreamRow:
        row = session.get(ParkedStreamRow, (self.generation, service, stream))
        if row is None:
            raise NotFound("STREAM_NOT_PARKED", f"stream {stream} of the {service} service is not parked")
        return row

    def _parked_among(self, session: Session, service: str, events: Sequence[PublicEvent]) -> Sequence[ParkedStreamRow]:
        rows = session.exec(
            select(ParkedStreamRow).where(
                col(ParkedStreamRow.generation) == self.generation, col(ParkedStreamRow.service) == service
            )
        ).all()
        streams = {event.stream for event in events} if rows else set()
        return [row for row in rows if row.stream in streams]

    def _move(self, service: str, to: Cursor) -> None:
        with _not_now_if_busy(), self._database.writing() as session:
            at = cursor_at(session, self.generation, service)
            move_cursor(session, self.generation, service, _further(at, to))


class _not_now_if_busy:  # noqa: N801 - reads as the context that it is
    """A database that is locked, full or not there says nothing about the event."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, TryLater | OperationalError):
            raise NotNow(f"the consumer's database does not answer: {_in_one_line(error)}") from error


def _further(at: Cursor, to: Cursor) -> Cursor:
    return at if at.position > to.position else to


def _in_one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:500]
