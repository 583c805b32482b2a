"""A gate in front of a server: closed, it cuts all connections and refuses new ones; open, it lets them through.

It can also do what a proxy may when the server behind it is replaced: keep up connections that lead nowhere any more.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Self

_CHUNK_BYTES = 64 * 1024


class TcpGate:
    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._through: set[asyncio.Task[None]] = set()
        self._lost = asyncio.Event()
        self.port = 0
        """Taken once and kept: whoever connects again finds the gate at the same place."""

    @classmethod
    @asynccontextmanager
    async def before(cls, host: str, port: int) -> AsyncIterator[Self]:
        """An open gate, as long as the context lasts."""
        gate = cls(host, port)
        async with gate.opened():
            yield gate

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        await self.open()
        try:
            yield
        finally:
            await self.close()

    @property
    def connections(self) -> int:
        return len(self._through)

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        through = set(self._through)
        for task in through:
            task.cancel()
        await asyncio.gather(*through, return_exceptions=True)

    def lose_far_ends(self) -> None:
        """What has come through until now hears nothing any more, until the gate is closed. What comes now does."""
        self._lost.set()
        self._lost = asyncio.Event()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self._target)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._let_through(reader, writer))
        self._through.add(task)
        task.add_done_callback(self._through.discard)

    async def _let_through(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward: asyncio.StreamWriter | None = None
        lost = self._lost
        try:
            back, onward = await self._connect()
            ways = {asyncio.create_task(_carry(reader, onward)), asyncio.create_task(_carry(back, writer))}
            losing = asyncio.create_task(lost.wait())
            try:
                await asyncio.wait({*ways, losing}, return_when=asyncio.FIRST_COMPLETED)
                if lost.is_set():
                    for way in ways:
                        way.cancel()
                    onward.transport.abort()
                    await asyncio.Event().wait()
            finally:
                losing.cancel()
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except ConnectionError:
            pass  # nobody is there; whoever came finds the door shut
        finally:
            for end in (writer, onward):
                if end is not None:
                    end.transport.abort()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
