"""Passes the services' events on to somewhere else: to a broker, or to those who wait for them.

Guarantees: all events in the logs are passed on, at least once and in the order of each log. The cursor moves after
they were, so dying in between passes some on again, and never leaves one out. A place that is away holds up nobody but
whoever forwards to it.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import structlog

from messaging.port import Cursor, Page
from services.kernel.consumer.cursors import cursor_at, forget_cursor, move_cursor
from services.kernel.consumer.not_now import read_or_not_now, write_or_not_now
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.database import Database
from services.kernel.schema import Schema

_GENERATION = 1

# The relay was the first to forward, and databases remember their revisions by name.
FORWARDER_SCHEMA = Schema(CONSUMER_TABLES, "relay_0001", Path(__file__).parent / "forwarder_migrations")

Deliver = Callable[[Page], Awaitable[None]]
"""Passes on what was not passed on before, at least one event; the page's `after` is where the one before them was.

Raises:
    NotNow: not all of them were passed on; any of them may be.
"""


class Forwarder:
    """Implements `Taker`: taking an event means passing it on."""

    def __init__(self, name: str, services: tuple[str, ...], *, database: Database, deliver: Deliver) -> None:
        self.name = name
        self.services = services
        self._database = database
        self._deliver = deliver
        # The cursor moves over events that are not public, too. Said to follow on from there, the next event would look
        # like a gap to all who only know the public ones. Forgotten in a restart, which costs them one look at the log.
        self._last_passed_on: dict[str, Cursor] = {}
        self._log = structlog.get_logger().bind(consumer=name)

    async def cursor(self, service: str) -> Cursor:
        return await read_or_not_now(self._database, lambda session: cursor_at(session, _GENERATION, service))

    async def take(self, page: Page) -> bool:
        cursor = await self.cursor(page.service)
        if not page.follows(cursor):
            return False
        fresh = tuple(event for event in page.events if event.position > cursor.position)
        if fresh:
            await self._deliver(replace(page, events=fresh, after=self._predecessor(page, cursor)))
            self._last_passed_on[page.service] = Cursor(page.log_id, fresh[-1].position)
        to = Cursor(page.log_id, max(page.position, cursor.position))
        await write_or_not_now(self._database, lambda session: move_cursor(session, _GENERATION, page.service, to))
        return True

    async def replaced(self, service: str) -> None:
        """Passes that log on from its start, under its new id."""
        self._log.warning("log replaced", source=service)
        self._last_passed_on.pop(service, None)
        await write_or_not_now(self._database, lambda session: forget_cursor(session, _GENERATION, service))

    def _predecessor(self, page: Page, cursor: Cursor) -> int:
        last = self._last_passed_on.get(page.service)
        # Up to the cursor everything public was passed on, so nothing public lies between the last one and it.
        return (
            last.position
            if last and last.log_id == page.log_id and last.position <= cursor.position
            else cursor.position
        )
