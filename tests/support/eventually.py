"""Waiting in tests: for a condition, with a bound, never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from inspect import isawaitable


async def eventually(
    condition: Callable[[], Awaitable[object] | object], *, within_s: float = 10, every_s: float = 0.02
) -> None:
    """Returns as soon as the condition holds.

    Raises:
        AssertionError: it does not hold within the time; carries what the condition returned or raised last.
    """
    deadline = time.monotonic() + within_s
    while True:
        last: object
        try:
            last = condition()
            last = await last if isawaitable(last) else last
            if last:
                return
        except AssertionError as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s} s: {condition!r}, last {last!r}")
        await asyncio.sleep(every_s)
