"""A read model that can be built anew from position 0 while the old one serves.

Guarantees:
- Every row carries its generation. The new generation is built beside the active one, out of the logs alone; the
  switch is one transaction; then the old rows are deleted, a few at a time.
- A crash at any moment leaves the active generation serving; a building that was interrupted is given up.
- A log that was replaced (restored from a back-up) leads to a rebuild by itself.
"""

import asyncio
from collections.abc import Callable

import structlog
from sqlmodel import Session

from messaging.feed import FIRST_PAUSE_S, LONGEST_PAUSE_S, Feeds
from messaging.port import Cursor, DeadLetters, NotNow, Page
from services.kernel.consumer import generations
from services.kernel.consumer.consumer import Apply, Consumer
from services.kernel.database import Database
from services.kernel.errors import TryLater

CHUNK = 500
"""How many rows of a retired generation are deleted in one transaction."""

Forget = Callable[[Session, int, int], int]
"""Deletes up to so many rows of a generation; says how many it has deleted."""


class ReadModel:
    """Implements `Taker`: takes events into whichever generation is active. Open it with `open()`."""

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
        self._rebuilding = asyncio.Lock()
        self._log = structlog.get_logger().bind(consumer=name)

    def open(self) -> None:
        """To be called once, when the tables exist."""
        with self._database.writing() as session:
            generations.ensure_active(session)
        with self._database.reading() as session:
            self._active = self._generation(generations.active_generation(session))

    @property
    def active(self) -> Consumer:
        """The generation that serves."""
        if self._active is None:
            raise RuntimeError(f"the read model {self._name} was not opened")
        return self._active

    @property
    def is_rebuilding(self) -> bool:
        return self._rebuilding.locked()

    @property
    def name(self) -> str:
        return self._name

    @property
    def services(self) -> tuple[str, ...]:
        return self._services

    def cursor(self, service: str) -> Cursor:
        return self.active.cursor(service)

    async def take(self, page: Page) -> bool:
        return await self.active.take(page)

    async def replaced(self, service: str) -> None:
        before = self.active
        self._log.warning("log replaced, rebuilding", source=service)
        async with self._rebuilding:
            # Two logs may be replaced at once; one rebuild serves both.
            if self.active is before:
                await self._rebuild()

    async def rebuild(self) -> int:
        """Builds a new generation from position 0, and switches to it once it has caught up. Returns its number.

        Services that cannot be reached are waited for, without end: meanwhile the old generation serves.
        """
        async with self._rebuilding:
            return await self._rebuild()

    async def forget_retired(self) -> None:
        """Deletes what retired generations have left, a few rows at a time. What is left over goes the next time."""
        try:
            await self._forget_retired()
        except (NotNow, TryLater) as error:
            self._log.warning("old generations stay for now", error=str(error))

    async def _forget_retired(self) -> None:
        with self._database.reading() as session:
            retired = generations.retired_generations(session)
        for generation in retired:
            deleted = 1
            while deleted:
                with self._database.writing() as session:
                    deleted = self._forget(session, generation, CHUNK)
                await asyncio.sleep(0)
            letters = await self._dead_letters.letters()
            await self._dead_letters.remove([letter for letter in letters if letter.generation == generation])
            with self._database.writing() as session:
                generations.forget_generation(session, generation)

    async def _rebuild(self) -> int:
        building = await self._build()
        with self._database.writing() as session:
            generations.activate(session, building.generation)
        self._active = building
        self._log.info("rebuilt", generation=building.generation)
        await self.forget_retired()
        return building.generation

    async def _build(self) -> Consumer:
        while True:
            with self._database.writing() as session:
                number = generations.begin_generation(session)
            building = self._generation(number, _Building)
            try:
                for service in self._services:
                    await self._catch_up(building, service)
                # What came meanwhile, so that the switch is as good as unnoticeable.
                for service in self._services:
                    await self._catch_up(building, service)
            except _ReplacedAgain:
                with self._database.writing() as session:
                    generations.retire(session, number)
            else:
                return building

    async def _catch_up(self, building: Consumer, service: str) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await self._feeds.catch_up(building, service)
            except NotNow as error:
                self._log.warning("rebuild waits", source=service, error=str(error))
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                return

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
