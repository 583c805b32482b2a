"""Relays the services' logs to a broker.

Guarantees: everything in the logs is published, at least once and in the order of each log; each message says which
one it follows. The position is saved after the broker has confirmed, so dying in between publishes some again, which
consumers notice, and never leaves one out. The log is the outbox: a broker that is away holds up nobody but the relay.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import structlog

from contracts.events import PublicEvent
from messaging.port import Cursor, Page
from services.kernel.consumer.cursors import cursor_at, forget_cursor, move_cursor
from services.kernel.consumer.not_now import read_or_not_now, write_or_not_now
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.database import Database
from services.kernel.schema import Schema

_GENERATION = 1

RELAY_SCHEMA = Schema(CONSUMER_TABLES, "relay_0001", Path(__file__).parent / "migrations")


class Publisher(Protocol):
    async def publish(self, events: Sequence[PublicEvent], after: int) -> None:
        """Returns when all are durable at the broker; each tells the position of the one before it.

        Raises:
            NotNow: they are not all; any of them may be.
        """


class Relay:
    """Implements `Taker`: taking an event means publishing it."""

    name = "relay"

    def __init__(self, publisher: Publisher, database: Database, services: tuple[str, ...]) -> None:
        self.services = services
        self._publisher = publisher
        self._database = database
        # The cursor moves over events that are not public, too. Said to follow on from there, the next event would look
        # like a gap to all who only know the public ones. Forgotten in a restart, which costs them one look at the log.
        self._last_published: dict[str, Cursor] = {}
        self._log = structlog.get_logger().bind(consumer=self.name)

    async def cursor(self, service: str) -> Cursor:
        return await read_or_not_now(self._database, lambda session: cursor_at(session, _GENERATION, service))

    async def take(self, page: Page) -> bool:
        cursor = await self.cursor(page.service)
        if not page.follows(cursor):
            return False
        fresh = [event for event in page.events if event.position > cursor.position]
        if fresh:
            await self._publisher.publish(fresh, self._predecessor(page, cursor))
            self._last_published[page.service] = Cursor(page.log_id, fresh[-1].position)
        to = Cursor(page.log_id, max(page.position, cursor.position))
        await write_or_not_now(self._database, lambda session: move_cursor(session, _GENERATION, page.service, to))
        return True

    async def replaced(self, service: str) -> None:
        """Publishes that log from its start, under its new id."""
        self._log.warning("log replaced", source=service)
        self._last_published.pop(service, None)
        await write_or_not_now(self._database, lambda session: forget_cursor(session, _GENERATION, service))

    def _predecessor(self, page: Page, cursor: Cursor) -> int:
        last = self._last_published.get(page.service)
        # Up to the cursor everything public was published, so nothing public lies between the last one and it.
        return (
            last.position
            if last and last.log_id == page.log_id and last.position <= cursor.position
            else cursor.position
        )
