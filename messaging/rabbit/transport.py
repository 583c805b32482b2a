"""The transport by RabbitMQ: events are pushed to each consumer's queue, and the logs stand behind it.

Guarantees:
- The queue is bound before the log is read, and the log is read whenever a connection begins. So what a consumer missed
  while it did not exist, or while the broker had lost its queue, is made good at once.
- A message tells which position it follows. One that does not follow on from what was taken (some before it were lost,
  it is of another log, it overtook) is not taken; the log is read from there instead.
- A message is acknowledged when its effect is durable, and one is taken after another, in the order of delivery.
"""

import asyncio

import structlog
from faststream import AckPolicy
from faststream.rabbit import RabbitBroker, RabbitMessage
from pydantic import ValidationError

from contracts.events import PublicEvent
from messaging.feed import FIRST_PAUSE_S, LONGEST_PAUSE_S, Feeds
from messaging.port import NotNow, Page, Taker
from messaging.rabbit.connection import Declare, Line, consumers_queue, exchange_named, line_to
from messaging.rabbit.dead_letters import QueueOfDeadLetters
from messaging.rabbit.publisher import AFTER_HEADER

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
        pause_s, away = FIRST_PAUSE_S, False
        while True:
            try:
                async with line_to(self._url, declare, prefetch=PREFETCH) as line:
                    if away:
                        self._log.info("broker is back")
                    pause_s, away = FIRST_PAUSE_S, False
                    await self._follow_on(line, taker)
            except* NotNow as errors:
                if not away:
                    self._log.warning("broker is away", error=str(errors.exceptions[0]))
                away = True
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _follow_on(self, line: Line, taker: Taker) -> None:
        """Until the connection is lost, which raises NotNow."""
        logs = _Logs(self._feeds, taker)
        async with asyncio.TaskGroup() as group:
            group.create_task(line.until_lost())
            # A service that is down is caught up with later, and keeps nobody from the events of the others.
            behind = [service for service in taker.services if not await self._is_caught_up(logs, service)]
            for service in behind:
                group.create_task(self._catch_up(logs, service))
            group.create_task(self._consume(line, taker, logs))

    async def _is_caught_up(self, logs: "_Logs", service: str) -> bool:
        try:
            await logs.catch_up(service)
        except NotNow as error:
            self._log.warning("not caught up", source=service, error=str(error))
            return False
        return True

    async def _catch_up(self, logs: "_Logs", service: str) -> None:
        pause = _Pause()
        while True:
            await pause.next()
            try:
                await logs.catch_up(service)
            except NotNow:
                continue
            self._log.info("caught up", source=service)
            return

    async def _consume(self, line: Line, taker: Taker, logs: "_Logs") -> None:
        # Whatever the library does in parallel ends here: they are taken one by one.
        inbox: asyncio.Queue[RabbitMessage] = asyncio.Queue(maxsize=PREFETCH)
        subscriber = line.broker.subscriber(
            self._queue, self._exchange, ack_policy=AckPolicy.MANUAL, no_reply=True, decoder=_as_it_is
        )
        subscriber(inbox.put)
        await line.run(line.broker.start())
        while True:
            message = await inbox.get()
            await self._deliver(message, taker, logs)
            await line.run(message.ack())

    async def _deliver(self, message: RabbitMessage, taker: Taker, logs: "_Logs") -> None:
        """Returns when the message is done with: it stays unacknowledged for as long as that takes."""
        page, pause = _read(message), _Pause()
        while True:
            try:
                if isinstance(page, str):
                    await self._bury(message, page)
                elif page.service in taker.services and not await taker.take(page):
                    await logs.catch_up(page.service)
            except NotNow as error:
                if pause.is_first:
                    self._log.warning("message waits", message=message.message_id, error=str(error))
                await pause.next()
            else:
                return

    async def _bury(self, message: RabbitMessage, reason: str) -> None:
        await self.dead_letters.put_unreadable(message.body, message.content_type, reason)
        self._log.error("unreadable message", message=message.message_id, reason=reason)


class _Logs:
    """The logs behind the queue. One task at a time reads a log: two would read the same."""

    def __init__(self, feeds: Feeds, taker: Taker) -> None:
        self._feeds = feeds
        self._taker = taker
        self._turns = {service: asyncio.Lock() for service in taker.services}

    async def catch_up(self, service: str) -> None:
        async with self._turns[service]:
            await self._feeds.catch_up(self._taker, service)


class _Pause:
    """Longer each time, up to a limit."""

    def __init__(self) -> None:
        self._next_s = FIRST_PAUSE_S

    @property
    def is_first(self) -> bool:
        return self._next_s == FIRST_PAUSE_S

    async def next(self) -> None:
        await asyncio.sleep(self._next_s)
        self._next_s = min(2 * self._next_s, LONGEST_PAUSE_S)


def _read(message: RabbitMessage) -> Page | str:
    """The event as a page of its log, or why it is none."""
    after = message.headers.get(AFTER_HEADER)
    if type(after) is not int:
        return f"the header {AFTER_HEADER} is no position"
    try:
        event = PublicEvent.model_validate_json(message.body)
    except ValidationError as error:
        return f"no public event: {error.error_count()} errors, the first at {_place(error)}"
    return Page(event.service, event.logid, after, (event,), event.position)


def _place(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or 'its root'} ({first['type']})"


async def _as_it_is(message: RabbitMessage) -> RabbitMessage:
    return message
