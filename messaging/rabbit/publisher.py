"""Publishes events to RabbitMQ: persistent, and confirmed before it returns."""

import asyncio
from collections.abc import Sequence

from faststream.rabbit import RabbitBroker

from contracts.events import EVENT_MEDIA_TYPE, PublicEvent
from messaging.rabbit.connection import Line, Link, exchange_named

AFTER_HEADER = "amends-after"
"""The position of the public event before this one: whoever has that one misses none in between."""


class RabbitPublisher:
    """Connects when there is something to publish; close it with `close()`."""

    def __init__(self, url: str, exchange: str) -> None:
        self._exchange = exchange_named(exchange)
        self._link = Link(url, self._declare, name=exchange)

    async def publish(self, events: Sequence[PublicEvent], after: int) -> None:
        """Returns when all are confirmed. They are written in their order, without waiting for one another.

        Args:
            events: of one service, one after another.
            after: the position of the public event before the first of them.

        Raises:
            NotNow: they are not all confirmed; any of them may have been published.
        """
        predecessors = [after, *(event.position for event in events[:-1])]

        async def send(line: Line) -> None:
            await asyncio.gather(*map(self._send, [line.broker] * len(events), events, predecessors))

        await self._link.call(send)

    async def close(self) -> None:
        await self._link.close()

    async def _declare(self, broker: RabbitBroker) -> None:
        await broker.declare_exchange(self._exchange)

    async def _send(self, broker: RabbitBroker, event: PublicEvent, after: int) -> None:
        await broker.publish(
            event.to_json().encode(),
            exchange=self._exchange,
            routing_key=event.routing_key,
            mandatory=False,  # with no queue nobody follows, and whoever comes later reads the log first
            persist=True,
            headers={AFTER_HEADER: after},
            content_type=EVENT_MEDIA_TYPE,
            message_id=event.id,
            correlation_id=event.sagaid,
        )
