"""Threads for what would keep the event loop from its work, and a queue before them in which nobody waits for long."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from services.kernel.errors import TryLater

T = TypeVar("T")


class Lane:
    """So many at a time, in the order in which they came."""

    def __init__(self, threads: int, *, wait_s: float) -> None:
        self._wait_s = wait_s
        self._free = asyncio.Semaphore(threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="database")

    async def run(self, act: Callable[[], T]) -> T:
        """Returns, or raises, only once the thread is done with it: also where the caller is cancelled meanwhile.

        Raises:
            TryLater: no thread became free in time, and nothing was done.
        """
        try:
            async with asyncio.timeout(self._wait_s):
                await self._free.acquire()
        except TimeoutError:
            raise TryLater("DATABASE_BUSY", f"no connection became free within {self._wait_s:g} s") from None
        try:
            return await _to_its_end(asyncio.get_running_loop().run_in_executor(self._threads, act))
        finally:
            self._free.release()

    def close(self) -> None:
        """Nothing can be under way any more, since all callers stayed to the end."""
        self._threads.shutdown(wait=False)


async def _to_its_end(running: asyncio.Future[T]) -> T:
    cancelled: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        running.exception()  # looked at, so that asyncio does not complain that nobody did
        raise cancelled
    return running.result()
