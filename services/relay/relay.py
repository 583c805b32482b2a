"""Relays the services' logs to a broker.

Guarantees: everything in the logs is published, at least once and in the order of each log; each message says which
one it follows. The position is saved after the broker has confirmed, so dying in between publishes some again, which
consumers notice, and never leaves one out. The log is the outbox: a broker that is away holds up nobody but the relay.
"""

from collections.abc import Sequence
from typing import Protocol

from contracts.events import PublicEvent
from messaging.port import Page
from services.kernel.consumer.forwarder import Forwarder
from services.kernel.database import Database


class Publisher(Protocol):
    async def publish(self, events: Sequence[PublicEvent], after: int) -> None:
        """Returns when all are durable at the broker; each tells the position of the one before it.

        Raises:
            NotNow: they are not all; any of them may be.
        """


def relay_to(publisher: Publisher, database: Database, services: tuple[str, ...]) -> Forwarder:
    async def publish(page: Page) -> None:
        await publisher.publish(page.events, page.after)

    return Forwarder("relay", services, database=database, deliver=publish)
