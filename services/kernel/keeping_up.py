"""Keeps what runs in the background running."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog

_PAUSE_S = 1.0

Run = Callable[[], Coroutine[Any, Any, None]]


def kept_up(run: Run) -> Run:
    """Runs it again whenever it fails."""

    async def keep_up() -> None:
        while True:
            try:
                return await run()
            except Exception:
                structlog.get_logger().exception("failed, and begins again")
                await asyncio.sleep(_PAUSE_S)

    return keep_up


@asynccontextmanager
async def running(run: Run) -> AsyncIterator[None]:
    """Runs it as long as the context; what is on a thread then is awaited."""
    task = asyncio.ensure_future(run())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
