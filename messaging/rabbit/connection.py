"""Connections to RabbitMQ that end when they are lost, for whoever opened them to begin anew.

The driver would reconnect by itself, behind our back: without a look at the log for what was missed meanwhile, and with
calls that wait without limit until it has. So it is kept from doing so, and each connection is used up to its end.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aio_pika.abc import AbstractRobustConnection
from faststream.rabbit import Channel, ExchangeType, RabbitBroker, RabbitExchange, RabbitQueue
from yarl import URL

from messaging.port import NotNow

# They log each failed attempt, some with a traceback. It is said here once, by whoever has to wait.
for _driver in ("aio_pika", "aiormq"):
    logging.getLogger(_driver).setLevel(logging.CRITICAL)

CONNECT_WITHIN_S = 5.0
CLOSE_WITHIN_S = 2.0
CALL_WITHIN_S = 10.0
"""How long the broker may take to do what it was asked."""
_NEVER_S = 10.0**8
_LOST = "the connection to RabbitMQ was lost"

T = TypeVar("T")
Declare = Callable[[RabbitBroker], Awaitable[None]]
"""Makes sure of the exchanges and queues that a connection is opened for."""


def exchange_named(name: str) -> RabbitExchange:
    """The exchange that all public events go through."""
    return RabbitExchange(name, type=ExchangeType.TOPIC, durable=True)


def consumers_queue(exchange: str, consumer: str) -> RabbitQueue:
    """The queue of a consumer, all of whose replicas but one stand by: otherwise two would share out a stream."""
    return RabbitQueue(f"{exchange}.{consumer}", durable=True, arguments={"x-single-active-consumer": True})


def dead_queue(exchange: str, consumer: str) -> RabbitQueue:
    return RabbitQueue(f"{exchange}.{consumer}.dead", durable=True)


@dataclass(frozen=True, slots=True)
class Line:
    """One connection, with one channel."""

    broker: RabbitBroker
    connection: AbstractRobustConnection
    lost: asyncio.Future[None]
    """Done as soon as the connection or its channel is closed, or its consumer cancelled, by whichever side."""

    async def until_lost(self) -> None:
        """Raises NotNow when the time has come."""
        await asyncio.wait({self.lost})
        raise NotNow(_LOST)

    async def run(self, calls: Coroutine[Any, Any, T], *, within_s: float = CALL_WITHIN_S) -> T:
        """What the broker answers; calls that are under way when the connection is lost are given up.

        Raises:
            NotNow: it gave no answer, or another one than was hoped for.
        """
        task = asyncio.create_task(calls)
        either: set[asyncio.Future[Any]] = {task, self.lost}
        try:
            await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise NotNow(_LOST if self.lost.done() else f"RabbitMQ did not answer within {within_s:g} s")
        finally:
            await _end(task)
        if task.cancelled():  # by the driver, which cancels whatever waits on a connection that is lost
            raise NotNow(_LOST)
        error = task.exception()
        if error is not None:
            raise NotNow(f"RabbitMQ did not do it: {type(error).__name__}") from error
        return task.result()


async def open_line(url: str, declare: Declare, *, name: str, prefetch: int | None = None) -> Line:
    """Connects and declares.

    Args:
        name: of the connection, by which operators know it at the broker.

    Raises:
        NotNow: the broker cannot be reached, or refuses the declaration.
    """
    broker = RabbitBroker(
        str(URL(url).update_query(name=name)),
        timeout=CONNECT_WITHIN_S,
        reconnect_interval=_NEVER_S,
        default_channel=Channel(prefetch_count=prefetch, publisher_confirms=True, on_return_raises=True),
        apply_types=False,
        logger=None,
        app_id="amends",
    )
    opening = asyncio.create_task(_open(broker, declare))
    try:
        # Cancelled in its midst the driver would leave a connection behind that nobody knows of.
        return await asyncio.shield(opening)
    except BaseException as error:
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:
            await close_line(opening.result())
        if isinstance(error, Exception) or opening.cancelled():  # the latter by the driver
            raise NotNow(f"RabbitMQ cannot be used: {type(error).__name__}: {_first_line(error)}") from error
        raise


async def close_line(line: Line) -> None:
    await _close(line.connection, line.broker)


@asynccontextmanager
async def line_to(url: str, declare: Declare, *, name: str, prefetch: int | None = None) -> AsyncIterator[Line]:
    """A connection for as long as the context lasts."""
    line = await open_line(url, declare, name=name, prefetch=prefetch)
    try:
        yield line
    finally:
        await close_line(line)


class Link:
    """A connection that is opened when it is first needed, and again after it was lost. Calls take turns."""

    def __init__(self, url: str, declare: Declare, *, name: str) -> None:
        self._url = url
        self._declare = declare
        self._name = name
        self._line: Line | None = None
        self._turn = asyncio.Lock()

    async def call(self, calls: Callable[[Line], Coroutine[Any, Any, T]], *, within_s: float = CALL_WITHIN_S) -> T:
        """What the broker answers within that time, once it is this call's turn and a connection is there.

        Raises:
            NotNow: it cannot be reached, or gave no answer, or another one than was hoped for.
        """
        async with self._turn:
            if self._line is not None and self._line.lost.done():
                await self._hang_up()
            if self._line is None:
                self._line = await open_line(self._url, self._declare, name=self._name)
            try:
                return await self._line.run(calls(self._line), within_s=within_s)
            except BaseException:
                await self._hang_up()  # whatever was under way on it is in an unknown state
                raise

    async def close(self) -> None:
        async with self._turn:
            await self._hang_up()

    async def _hang_up(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            await close_line(line)


async def _open(broker: RabbitBroker, declare: Declare) -> Line:
    connection = await broker.connect()
    try:
        async with asyncio.timeout(CALL_WITHIN_S):
            await declare(broker)
            channel = await (await broker.config.channel_manager.get_channel()).get_underlay_channel()
    except BaseException:
        await _close(connection, broker)
        raise
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def lose(_: object) -> None:
        if not lost.done():
            lost.set_result(None)

    channel.closing.add_done_callback(lose)
    channel.on_consumer_cancel_callbacks.add(lose)
    return Line(broker, connection, lost)


async def _close(connection: AbstractRobustConnection, broker: RabbitBroker) -> None:
    # First the connection, which ends what the driver does in the background whether the broker answers or not.
    for closing in (connection.close, broker.stop):
        # One that was lost has nothing left to close, and may say so in many ways.
        with suppress(Exception):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await closing()


async def _end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait({task})


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
