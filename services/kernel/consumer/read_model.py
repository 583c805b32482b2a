"""A read model that can be built anew from position 0 while the old one serves.

Guarantees:
- Every row carries its generation. The new generation is built beside the active one, out of the logs alone; the
  switch is one transaction; then the old rows are deleted, a few at a time.
- A crash at any moment leaves the active generation serving; a building that was interrupted is given up.
- A log that was replaced (restored from a back-up) leads to a rebuild by itself.
- What an operator has dropped stays dropped.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import structlog
from sqlmodel import Session

from messaging.feed import Feeds, LogReplaced
from messaging.pause import Pause
from messaging.port import Cursor, DeadLetters, NotNow, Page
from messaging.reasons import reason_of
from services.kernel.consumer import generations
from services.kernel.consumer.consumer import Apply, Consumer
from services.kernel.consumer.not_now import read_or_not_now, write_or_not_now
from services.kernel.database import Database

CHUNK = 500
"""How many rows of a retired generation are deleted in one transaction."""

T = TypeVar("T")
Forget = Callable[[Session, int, int], int]
"""Deletes up to so many rows of a generation; says how many it has deleted."""


class ReadModel:
    """Implements `Taker`: takes events into whichever generation is active. Open it, and close it at the end."""

    def __init__(
        self,
        name: str,
        services: tuple[str, ...],
        *,
        database: Database,
        apply: Apply,
        forget: Forget,
        feeds: Feeds,
        dead_letters: DeadLetters,
    ) -> None:
        self._name = name
        self._services = services
        self._database = database
        self._apply = apply
        self._forget = forget
        self._feeds = feeds
        self._dead_letters = dead_letters
        self._active: Consumer | None = None
        self._rebuilding: asyncio.Task[int] | None = None
        self._forgetting: asyncio.Task[None] | None = None
        self.failure: str | None = None
        """Why the last rebuild failed, if it did."""
        self._log = structlog.get_logger().bind(consumer=name)

    async def open(self) -> None:
        """To be called once."""
        await self._database.write(generations.ensure_active)
        self._active = self._generation(await self._database.read(generations.active_generation))
        self._forgetting = asyncio.create_task(self._forget_retired())

    async def close(self) -> None:
        for task in (self._rebuilding, self._forgetting):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})  # one that has failed has said so

    @property
    def active(self) -> Consumer:
        """The generation that serves."""
        if self._active is None:
            raise RuntimeError(f"the read model {self._name} was not opened")
        return self._active

    @property
    def is_rebuilding(self) -> bool:
        return self._rebuilding is not None and not self._rebuilding.done()

    @property
    def name(self) -> str:
        return self._name

    @property
    def services(self) -> tuple[str, ...]:
        return self._services

    async def cursor(self, service: str) -> Cursor:
        return await self.active.cursor(service)

    async def take(self, page: Page) -> bool:
        return await self.active.take(page)

    async def replaced(self, service: str) -> None:
        # Two logs may be replaced at once. One rebuild serves both; the second one is told after it.
        try:
            await self._feeds.of(service).read(await self.cursor(service), limit=1)
        except LogReplaced:
            self._log.warning("log replaced, rebuilding", source=service)
            # Whoever waits may be cancelled, by a lost connection for instance. The rebuild goes on.
            await asyncio.shield(self.start_rebuild())

    def start_rebuild(self) -> "asyncio.Task[int]":
        """Builds a new generation from position 0, and switches to it once it has caught up; the task tells its number.

        If one is being built, that is the one. Services that cannot be reached are waited for, without end: meanwhile
        the old generation serves, or the new one if it was switched to already.
        """
        if self._rebuilding is None or self._rebuilding.done():
            self.failure = None
            self._rebuilding = asyncio.create_task(self._rebuild())
            # Not everybody waits for it; how it failed is in `failure`.
            self._rebuilding.add_done_callback(lambda task: task.cancelled() or task.exception())
        return self._rebuilding

    async def _rebuild(self) -> int:
        try:
            building = self._active = await self._build()
            # What came just before the switch, the former generation alone has taken. Whoever follows has that behind
            # it, and may have to wait for the next event for long.
            await asyncio.gather(*(self._catch_up_behind(building, service) for service in self._services))
        except Exception as error:
            self._log.exception("rebuild failed")
            self.failure = f"the rebuild failed: {reason_of(error)}"
            raise
        self._log.info("rebuilt", generation=building.generation)
        if self._forgetting is None or self._forgetting.done():
            self._forgetting = asyncio.create_task(self._forget_retired())
        return building.generation

    async def _build(self) -> Consumer:
        """A generation that has caught up, and is active."""
        while True:
            number = await self._write(generations.begin_generation)
            building = self._generation(number, _Building)
            try:
                for _ in range(2):  # the second time what came meanwhile, so that little is missing at the switch
                    for service in self._services:
                        await self._catch_up(building, service)
                await self._write(partial(generations.activate, generation=number))
            except BaseException as error:
                with suppress(NotNow):
                    await write_or_not_now(self._database, partial(generations.retire, generation=number))
                if not isinstance(error, _ReplacedAgain):
                    raise
            else:
                return building

    async def _catch_up_behind(self, switched_to: Consumer, service: str) -> None:
        with suppress(_ReplacedAgain):  # whoever follows will meet that as well
            await self._catch_up(switched_to, service)

    async def _catch_up(self, building: Consumer, service: str) -> None:
        pause = Pause()
        while True:
            try:
                await self._feeds.catch_up(building, service)
            except NotNow as error:
                if pause.is_first:
                    self._log.warning("rebuild waits", source=service, error=str(error))
                await pause.next()
            else:
                return

    async def _forget_retired(self) -> None:
        """Deletes what retired generations have left, a few rows at a time. What fails is left for the next time."""
        try:
            retired = await read_or_not_now(self._database, generations.retired_generations)
            for generation in retired:
                while await self._write(partial(self._forget_some, generation)):
                    await asyncio.sleep(0)
                letters = await self._dead_letters.letters()
                await self._dead_letters.remove([letter for letter in letters if letter.generation == generation])
                await self._write(partial(generations.forget_generation, generation=generation))
        except NotNow as error:
            self._log.warning("old generations stay for now", error=str(error))
        except Exception:
            self._log.exception("old generations stay for now")

    def _forget_some(self, generation: int, session: Session) -> int:
        return self._forget(session, generation, CHUNK)

    async def _write(self, act: Callable[[Session], T]) -> T:
        """Does it in a transaction, as soon as the database lets us."""
        pause = Pause()
        while True:
            try:
                return await write_or_not_now(self._database, act)
            except NotNow:
                await pause.next()

    def _generation(self, number: int, kind: type[Consumer] = Consumer) -> Consumer:
        return kind(
            self._name,
            self._services,
            database=self._database,
            apply=self._apply,
            dead_letters=self._dead_letters,
            generation=number,
        )


class _Building(Consumer):
    """A generation that is being built. Its rows cannot be taken a second time, so a replaced log ends it."""

    async def replaced(self, service: str) -> None:
        raise _ReplacedAgain(service)


class _ReplacedAgain(Exception):
    pass
