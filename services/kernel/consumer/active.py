"""Has one process of a consumer at work, and the others standing by (docs/decisions/0012).

Guarantees: a process that stands by takes over within about a second of the other's death. Should two be at work for a
moment, because a connection was lost unnoticed, no event has its effect twice: cursors are compared under the
database's write lock.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from messaging.port import NotNow
from messaging.reasons import reason_of
from services.kernel.errors import TryLater
from services.kernel.sole_lock import SoleLock

LOOK_S = 0.5
"""How often who stands by looks whether it is wanted, and who is at work whether it still is."""
_PAUSE_S = 1.0
"""After work that could not begin, or failed."""


class Active:
    """Whether this process is the one at work.

    Args:
        begin: to be done before work, and again each time it begins.
        work: until it is cancelled.
        end: undoes what `begin` has done.
    """

    def __init__(
        self,
        name: str,
        lock: SoleLock,
        *,
        begin: Callable[[], Awaitable[None]],
        work: Callable[[], Awaitable[None]],
        end: Callable[[], Awaitable[None]],
    ) -> None:
        self._lock = lock
        self._begin = begin
        self._work = work
        self._end = end
        self._looked = asyncio.Event()
        self._log = structlog.get_logger().bind(consumer=name)
        self.is_active = False

    async def looked(self) -> None:
        """Returns once it is at work, or knows that it is not wanted yet."""
        await self._looked.wait()

    async def run(self) -> None:
        """Works whenever it is this process's turn, until it is cancelled."""
        while True:
            try:
                if await self._lock.take():
                    await self._be_at_work()
                else:
                    self._stand_by()
                    await asyncio.sleep(LOOK_S)
            except (NotNow, TryLater) as error:
                await self._pause(str(error))
            except Exception as error:
                self._log.exception("work failed")
                await self._pause(reason_of(error))

    async def _be_at_work(self) -> None:
        try:
            await self._begin()
            self.is_active = True
            self._looked.set()
            self._log.info("at work")
            await self._while_held()
        finally:
            self.is_active = False
            try:
                await self._end()
            finally:
                # Kept, it would hold up the others, and this process as well.
                await self._lock.release()

    async def _while_held(self) -> None:
        """Works until the lock is lost."""
        work = asyncio.ensure_future(self._work())
        try:
            while not work.done() and await self._lock.is_held():
                await asyncio.wait({work}, timeout=LOOK_S)
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work

    def _stand_by(self) -> None:
        if not self._looked.is_set():
            self._log.info("standing by")
        self._looked.set()

    async def _pause(self, why: str) -> None:
        self._log.warning("not at work", error=why)
        self._looked.set()
        await asyncio.sleep(_PAUSE_S)
