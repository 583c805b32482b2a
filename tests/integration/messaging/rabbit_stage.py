"""RabbitMQ for tests: an exchange of one's own behind a gate, a relay to it, and eyes on what lies in the queues."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self
from uuid import uuid4

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractExchange, AbstractIncomingMessage, AbstractQueue
from yarl import URL

from contracts.events import PublicEvent
from messaging.feed import Feeds, FeedTransport, LogReader
from messaging.port import Cursor, Page
from messaging.rabbit.publisher import RabbitPublisher
from messaging.rabbit.transport import RabbitTransport
from services.kernel.consumer.forwarder import Forwarder
from services.kernel.database import Database
from services.relay.relay import Publisher, relay_to
from tests.integration.messaging.stage import OrderLog, Wires, running
from tests.support.databases import sqlite_database
from tests.support.eventually import eventually
from tests.support.rabbitmq import RABBITMQ_URL
from tests.support.tcp_gate import TcpGate

BROKER = URL(RABBITMQ_URL)
CONSUMER = "subject"


class CountingReader:
    """Reads a log, and counts how often a follower wants to know of it."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.reads = 0

    async def read(self, cursor: Cursor, *, limit: int = 200, wait_s: float = 0) -> Page:
        self.reads += 1
        return await self._reader.read(cursor, limit=limit, wait_s=wait_s)


class FreezesOncePublished:
    """Publishes, and then nobody hears of it."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.has_published = False

    async def publish(self, events: Sequence[PublicEvent], after: int) -> None:
        await self._publisher.publish(events, after)
        self.has_published = True
        await asyncio.Event().wait()


class Rabbit:
    """One test's exchange and its queues, gone when the test is over."""

    def __init__(self, channel: AbstractChannel, gate: TcpGate, log: OrderLog, folder: Path) -> None:
        self.gate = gate
        self.exchange = f"amends-test.{uuid4().hex}"
        self.url = str(BROKER.with_host("127.0.0.1").with_port(gate.port))
        self.feeds = Feeds.at({"order": log.url})
        self.publisher = RabbitPublisher(self.url, self.exchange)
        self.reader = CountingReader(self.feeds.of("order"))
        self.transport = RabbitTransport(
            self.url, Feeds({"order": self.reader}), exchange=self.exchange, consumer=CONSUMER
        )
        self._channel = channel
        self._database = Database(sqlite_database(folder, "relay"))
        self._spies = 0

    @classmethod
    @asynccontextmanager
    async def at_hand(cls, log: OrderLog, folder: Path) -> AsyncIterator[Self]:
        try:
            connection = await aio_pika.connect(str(BROKER), timeout=3)
        except (OSError, aio_pika.exceptions.AMQPError) as error:
            pytest.skip(f"no RabbitMQ answers at {BROKER.with_user(None)}: {type(error).__name__}")
        async with (
            connection,
            connection.channel() as channel,
            TcpGate.before(BROKER.host or "127.0.0.1", BROKER.port or 5672) as gate,
        ):
            rabbit = cls(channel, gate, log, folder)
            yield rabbit
            await rabbit._clean_up()

    @property
    def wires(self) -> Wires:
        return Wires(self.transport, lambda _: self.transport.dead_letters)

    @property
    def queue_name(self) -> str:
        return f"{self.exchange}.{CONSUMER}"

    @asynccontextmanager
    async def relaying(self, publisher: Publisher | None = None) -> AsyncIterator[None]:
        async with running(FeedTransport(self.feeds).follow(self.relay(publisher))):
            yield

    def relay(self, publisher: Publisher | None = None) -> Forwarder:
        return relay_to(publisher or self.publisher, self._database, ("order",))

    async def has_relayed_all(self, log: OrderLog) -> None:
        last = (await log.events())[-1].position

        async def has_relayed() -> bool:
            return (await self.relay().cursor("order")).position >= last

        await eventually(has_relayed)

    async def topic(self) -> AbstractExchange:
        """Declared the way it should be, or the broker would refuse it."""
        return await self._channel.declare_exchange(self.exchange, aio_pika.ExchangeType.TOPIC, durable=True)

    async def queue(self, name: str | None = None) -> AbstractQueue:
        return await self._channel.get_queue(name or self.queue_name)

    async def spy(self) -> AbstractQueue:
        """A queue that hears of everything from now on."""
        self._spies += 1
        queue = await self._channel.declare_queue(f"{self.exchange}.spy-{self._spies}", durable=False, exclusive=True)
        await queue.bind(await self.topic(), "#")
        return queue

    async def messages(self, queue: AbstractQueue) -> list[AbstractIncomingMessage]:
        """What is in a queue, which it loses by it."""
        found = []
        while message := await queue.get(fail=False, no_ack=True):
            found.append(message)
        return found

    async def is_consumed(self) -> bool:
        async with await aio_pika.connect(str(BROKER)) as connection, connection.channel() as channel:
            queue = await channel.declare_queue(
                self.queue_name, durable=True, arguments={"x-single-active-consumer": True}
            )
            return bool(queue.declaration_result.consumer_count)

    async def is_drained(self) -> bool:
        """Whether every message was handed out."""
        return (await self.queue()).declaration_result.message_count == 0

    async def _clean_up(self) -> None:
        await self.publisher.close()
        await self.transport.dead_letters.close()
        await self.feeds.close()
        self._database.close()
        for name in (self.queue_name, f"{self.queue_name}.dead"):
            await self._channel.queue_delete(name)
        await self._channel.exchange_delete(self.exchange)
