"""Pauses between attempts that cannot be given up: longer each time, up to a limit."""

import asyncio

FIRST_S = 0.1
LONGEST_S = 3.0


class Pause:
    def __init__(self) -> None:
        self._next_s = FIRST_S

    @property
    def is_first(self) -> bool:
        """Whether nothing has gone wrong since it was made or reset."""
        return self._next_s == FIRST_S

    def reset(self) -> None:
        """Told that all is well again."""
        self._next_s = FIRST_S

    async def next(self) -> None:
        await asyncio.sleep(self._next_s)
        self._next_s = min(2 * self._next_s, LONGEST_S)
