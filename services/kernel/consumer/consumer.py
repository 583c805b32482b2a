"""Takes events into a database, each once, whatever the transport does and whenever the process dies.

Guarantees:
- An event's effect and the cursor's move are one transaction, so nothing is lost or doubled by a crash in between.
  Events of one service are taken in the order of its log, so the cursor is all the inbox that is needed: what lies
  behind it was taken (docs/decisions/0008).
- An event that cannot be taken, after a few attempts, becomes a dead letter and parks its stream: the stream's later
  events wait behind it, all other streams go on. An operator has it replayed, or dropped for good.
- A database that is busy is no fault of the event: that is `NotNow`, and parks nothing.

One process of a consumer runs at a time. A second one would double nothing, and might leave an event behind.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import partial
from typing import TypeVar

import structlog
from sqlmodel import Session

from contracts.events import PublicEvent
from messaging.port import Cursor, DeadLetter, DeadLetters, NotNow, Page
from messaging.reasons import reason_of
from services.kernel.consumer.cursors import cursor_at, forget_cursor, move_cursor
from services.kernel.consumer.not_now import read_or_not_now, write_or_not_now
from services.kernel.consumer.set_aside import (
    forget_service,
    park,
    parked_stream,
    parked_streams,
    remember_dropped,
    set_aside,
)
from services.kernel.consumer.tables import ParkedStreamRow
from services.kernel.database import Database
from services.kernel.errors import Conflict

ATTEMPTS = 3
"""How often an event is tried before it becomes a dead letter."""
_PAUSE_S = 0.05
TOGETHER = 50
"""How many events one transaction takes at most. With more, a read model that is built anew might keep the lock of
PostgreSQL's writers from the one that serves for longer than that waits for it, on a slow machine."""

T = TypeVar("T")
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


class _Taken(Enum):
    """What became of a page."""

    ALL = auto()
    NOT_TOGETHER = auto()
    """Nothing was taken; one of its events waits, or cannot be taken."""
    DOES_NOT_FOLLOW = auto()
    """Nothing was taken; something lies between the cursor and the page."""


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
        on_taken: Callable[[Sequence[PublicEvent]], None] = lambda _: None,
    ) -> None:
        """Is to be read from its start, or from where it once got to.

        Args:
            on_taken: called with events that were taken, once their effect is committed.
        """
        self._name = name
        self._services = services
        self._database = database
        self._apply = apply
        self._dead_letters = dead_letters
        self.generation = generation
        self._on_taken = on_taken
        # One page or replay at a time. Only letters that lie at a broker make others wait for longer than a moment.
        self._turn = asyncio.Lock()
        self._log = structlog.get_logger().bind(consumer=name)

    @property
    def name(self) -> str:
        return self._name

    @property
    def services(self) -> tuple[str, ...]:
        return self._services

    async def cursor(self, service: str) -> Cursor:
        return await self._read(lambda session: cursor_at(session, self.generation, service))

    async def replaced(self, service: str) -> None:
        """Begins anew with that log. What is applied twice by it is for `apply` to notice."""
        self._log.warning("log replaced", source=service)
        async with self._turn:
            # What was put aside were events of the former log. First the letters: dying in between, it is told again.
            letters = await self._dead_letters.letters()
            await self._dead_letters.remove([letter for letter in letters if letter.is_of(self.generation, service)])
            await self._write(partial(self._forget, service))

    async def take(self, page: Page) -> bool:
        async with self._turn:
            for part in page.parts(TOGETHER):
                await asyncio.sleep(0)  # SQLite's transactions let nobody else have the event loop
                taken = await self._take_together(part)
                if taken is _Taken.NOT_TOGETHER:
                    taken = await self._take_one_by_one(part)
                if taken is _Taken.DOES_NOT_FOLLOW:
                    return False
            return True

    async def parked(self) -> list[ParkedStreamRow]:
        return await self._read(lambda session: parked_streams(session, self.generation))

    async def replay(self, service: str, stream: str) -> Replayed:
        """Takes the dead letters of a parked stream, in order, until one cannot be taken again.

        Raises:
            NotFound: the stream is not parked.
            NotNow: the letters cannot be read for the moment; those that were taken stay taken.
        """
        async with self._turn:
            return await self._replay(service, stream)

    async def drop(self, service: str, stream: str, version: int) -> Replayed:
        """Gives up for good on the event that parked the stream, and takes those that waited behind it.

        Asked again, where the first answer got lost, it drops nothing else.

        Raises:
            NotFound: the stream is not parked.
            Conflict: it is parked at another version.
            NotNow: as for `replay`. The event may be dropped nevertheless; `replay` then goes on behind it.
        """
        async with self._turn:
            await self._write(partial(self._drop, service, stream, version))
            self._log.warning("event dropped", source=service, stream=stream, version=version)
            return await self._replay(service, stream)

    async def _take_together(self, page: Page) -> _Taken:
        """All of a page in one transaction, which is fast; no effect where that cannot be."""
        fresh: list[PublicEvent] = []

        def apply_all(session: Session) -> _Taken:
            # Under the write lock: another process of this consumer may have been faster.
            at = cursor_at(session, self.generation, page.service)
            if not page.follows(at):
                return _Taken.DOES_NOT_FOLLOW
            aside = set_aside(session, self.generation, page.service)
            fresh[:] = [event for event in page.events if event.position > at.position]
            if any(aside.waits(event) for event in fresh):
                return _Taken.NOT_TOGETHER
            for event in fresh:
                if not aside.is_done_with(event):
                    self._apply(session, event, self.generation)
            move_cursor(session, self.generation, page.service, _further(at, Cursor(page.log_id, page.position)))
            return _Taken.ALL

        try:
            taken = await self._write(apply_all)
        except NotNow:
            raise
        except Exception:
            # Whatever it is, the events are now tried one by one, and it shows again.
            return _Taken.NOT_TOGETHER
        if taken is _Taken.ALL and fresh:
            self._on_taken(fresh)
        return taken

    async def _take_one_by_one(self, page: Page) -> _Taken:
        cursor = await self.cursor(page.service)
        if not page.follows(cursor):
            return _Taken.DOES_NOT_FOLLOW
        for event in page.events:
            if event.position > cursor.position:
                await self._take_alone(event)
        await self._move(page.service, Cursor(page.log_id, page.position))
        return _Taken.ALL

    async def _take_alone(self, event: PublicEvent) -> None:
        aside = await self._read(lambda session: set_aside(session, self.generation, event.service))
        if aside.waits(event):
            behind = aside.parked[event.stream]
            await self._put_aside(event, f"waits behind version {behind}, which could not be taken")
            await self._move(event.service, Cursor(event.logid, event.position))
            return
        reason = await self._attempt(event)
        if reason is None:
            return
        # First the letter, then the cursor: a crash in between brings the event again, never loses it.
        await self._put_aside(event, reason)
        await self._write(partial(self._park, event, reason))

    async def _attempt(self, event: PublicEvent) -> str | None:
        """Why it could not be taken, if it could not."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._write(partial(self._apply_once, event))
            except NotNow:
                raise
            except Exception as error:
                if attempt == ATTEMPTS:
                    self._log.exception("event parked", source=event.service, id=event.id, type=event.type)
                    return reason_of(error)
                await asyncio.sleep(_PAUSE_S)
            else:
                self._on_taken([event])
                return None
        raise AssertionError("unreachable")

    def _apply_once(self, event: PublicEvent, session: Session) -> None:
        """Applies the event and moves the cursor, unless it was taken before, in whichever way."""
        if event.position <= cursor_at(session, self.generation, event.service).position:
            return
        if not set_aside(session, self.generation, event.service).is_done_with(event):
            self._apply(session, event, self.generation)
        move_cursor(session, self.generation, event.service, Cursor(event.logid, event.position))

    async def _put_aside(self, event: PublicEvent, reason: str) -> None:
        await self._dead_letters.put(DeadLetter(event, reason, datetime.now(UTC), self.generation))

    async def _replay(self, service: str, stream: str) -> Replayed:
        parked = await self._read(lambda session: parked_stream(session, self.generation, service, stream))
        letters = await self._dead_letters.letters()
        mine = [letter for letter in letters if letter.is_of(self.generation, service, stream)]
        mine.sort(key=lambda letter: letter.event.streamversion)
        done = [letter for letter in mine if letter.event.streamversion < parked.next_version]
        taken = 0
        for letter in mine[len(done) :]:
            reason = await self._take_letter(letter)
            if reason is not None:
                await self._dead_letters.remove(done)
                return Replayed(service, stream, taken, reason)
            done.append(letter)
            taken += 1
        # Together, because a broker's queue is read whole for it. A crash before it is covered by `next_version`.
        await self._dead_letters.remove(done)
        await self._write(partial(self._resume, service, stream))
        self._log.info("stream goes on", source=service, stream=stream, taken=taken)
        return Replayed(service, stream, taken, None)

    async def _take_letter(self, letter: DeadLetter) -> str | None:
        event = letter.event

        def apply_and_go_on(session: Session) -> None:
            self._apply(session, event, self.generation)
            row = parked_stream(session, self.generation, event.service, event.stream)
            row.next_version = event.streamversion + 1
            session.add(row)

        try:
            await self._write(apply_and_go_on)
        except NotNow:
            raise
        except Exception as error:
            self._log.exception("event still parked", source=event.service, id=event.id, type=event.type)
            reason = reason_of(error)
            await self._write(lambda session: park(session, self.generation, event, reason))
            return reason
        self._on_taken([event])
        return None

    async def _move(self, service: str, to: Cursor) -> None:
        def move(session: Session) -> None:
            at = cursor_at(session, self.generation, service)
            move_cursor(session, self.generation, service, _further(at, to))

        await self._write(move)

    def _forget(self, service: str, session: Session) -> None:
        forget_service(session, self.generation, service)
        forget_cursor(session, self.generation, service)

    def _drop(self, service: str, stream: str, version: int, session: Session) -> None:
        row = parked_stream(session, self.generation, service, stream)
        if row.next_version != version:
            raise Conflict("OTHER_VERSION", f"stream {stream} is parked at version {row.next_version}")
        remember_dropped(session, row)
        row.next_version += 1
        session.add(row)

    def _park(self, event: PublicEvent, reason: str, session: Session) -> None:
        park(session, self.generation, event, reason)
        move_cursor(session, self.generation, event.service, Cursor(event.logid, event.position))

    def _resume(self, service: str, stream: str, session: Session) -> None:
        row = parked_stream(session, self.generation, service, stream)
        row.resumed_at = datetime.now(UTC)
        session.add(row)

    async def _read(self, act: Callable[[Session], T]) -> T:
        return await read_or_not_now(self._database, act)

    async def _write(self, act: Callable[[Session], T]) -> T:
        return await write_or_not_now(self._database, act)


def _further(at: Cursor, to: Cursor) -> Cursor:
    return at if at.position > to.position else to
