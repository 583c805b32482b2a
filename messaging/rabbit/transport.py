"""The transport by RabbitMQ: events are pushed to each consumer's queue, and the logs stand behind it.

Guarantees:
- The queue is bound before the log is read, and the log is read whenever a connection begins. So what a consumer missed
  while it did not exist, or while the broker had lost its queue, is made good at once.
- A message tells which position it follows. One that does not follow on from what was taken (some before it were lost,
  it is of another log, it overtook) is not taken; the log is read from there instead, and others need not wait for it.
- A message is acknowledged when its effect is durable, or when its event is to be read from the log, which is read
  whenever a connection begins. One is taken after another, in the order of delivery.
"""

import asyncio
from collections.abc import Mapping

import structlog
from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitMessage
from pydantic import ValidationError

from contracts.events import PublicEvent
from messaging.feed import Feeds
from messaging.pause import Pause
from messaging.port import NotNow, Page, Taker
from messaging.rabbit.connection import Declare, Line, consumers_queue, exchange_named, line_to
from messaging.rabbit.dead_letters import QueueOfDeadLetters
from messaging.rabbit.publisher import AFTER_HEADER
from messaging.reasons import reason_of

PREFETCH = 100
"""How many messages the broker sends ahead of their acknowledgement."""


class RabbitTransport:
    """Implements `Transport` for one consumer. All its connections end with `follow`."""

    def __init__(self, url: str, feeds: Feeds, *, exchange: str, consumer: str) -> None:
        self._url = url
        self._feeds = feeds
        self._exchange = exchange_named(exchange)
        self._queue = consumers_queue(exchange, consumer)
        self.dead_letters = QueueOfDeadLetters(url, exchange=exchange, consumer=consumer)
        self._log = structlog.get_logger().bind(consumer=consumer)

    async def follow(self, taker: Taker) -> None:
        async def declare(broker: RabbitBroker) -> None:
            exchange = await broker.declare_exchange(self._exchange)
            queue = await broker.declare_queue(self._queue)
            for service in taker.services:
                await queue.bind(exchange, routing_key=f"{service}.*")

        try:
            await self._follow(taker, declare)
        finally:
            await self.dead_letters.close()

    async def _follow(self, taker: Taker, declare: Declare) -> None:
        pause = Pause()
        while True:
            try:
                async with line_to(self._url, declare, name=self._queue.name, prefetch=PREFETCH) as line:
                    if not pause.is_first:
                        self._log.info("broker is back")
                    pause.reset()
                    await self._follow_on(line, taker)
            except* NotNow as errors:
                if pause.is_first:
                    self._log.warning("broker is away", error=str(errors.exceptions[0]))
            await pause.next()

    async def _follow_on(self, line: Line, taker: Taker) -> None:
        """Until the connection is lost, which raises NotNow."""
        behind = {service: asyncio.Event() for service in taker.services}
        async with asyncio.TaskGroup() as group:
            group.create_task(line.until_lost())
            for service, is_behind in behind.items():
                is_behind.set()
                group.create_task(self._catch_up(taker, service, is_behind))
            group.create_task(self._consume(line, taker, behind))

    async def _catch_up(self, taker: Taker, service: str, is_behind: asyncio.Event) -> None:
        """Reads the log whenever something is missing. One that cannot be read holds up no other service's events."""
        pause = Pause()
        while True:
            await is_behind.wait()
            is_behind.clear()
            try:
                await self._feeds.catch_up(taker, service)
            except NotNow as error:
                if pause.is_first:
                    self._log.warning("not caught up", source=service, error=str(error))
                await pause.next()
                is_behind.set()
            else:
                if not pause.is_first:
                    self._log.info("caught up", source=service)
                pause.reset()

    async def _consume(self, line: Line, taker: Taker, behind: Mapping[str, asyncio.Event]) -> None:
        # Whatever the library does in parallel ends here: they are taken one by one.
        inbox: asyncio.Queue[RabbitMessage] = asyncio.Queue(maxsize=PREFETCH)
        subscriber = line.broker.subscriber(
            self._queue, self._exchange, ack_policy=AckPolicy.MANUAL, no_reply=True, decoder=_as_it_is
        )
        subscriber(inbox.put)
        await line.run(line.broker.start())
        while True:
            message = await inbox.get()
            await self._deliver(message, taker, behind)
            await line.run(message.ack())

    async def _deliver(self, message: RabbitMessage, taker: Taker, behind: Mapping[str, asyncio.Event]) -> None:
        """Returns when the message is done with: its effect is durable, or its event is read from the log instead."""
        page, pause = _read(message), Pause()
        while True:
            try:
                if isinstance(page, str):
                    await self._bury(message, page)
                elif page.service in behind and not await taker.take(page):
                    behind[page.service].set()
            except NotNow as error:
                if pause.is_first:
                    self._log.warning("message waits", message=message.message_id, error=str(error))
                await pause.next()
            else:
                return

    async def _bury(self, message: RabbitMessage, reason: str) -> None:
        await self.dead_letters.put_unreadable(message.body, message.content_type, reason)
        self._log.error("unreadable message", message=message.message_id, reason=reason)


def _read(message: RabbitMessage) -> Page | str:
    """The event as a page of its log, or why it is none."""
    after = message.headers.get(AFTER_HEADER)
    if type(after) is not int:
        return f"the header {AFTER_HEADER} is no position"
    try:
        event = PublicEvent.model_validate_json(message.body)
    except ValidationError as error:
        return reason_of(error)
    return Page(event.service, event.logid, after, (event,), event.position)


async def _as_it_is(message: RabbitMessage) -> RabbitMessage:
    return message
