"""Where the logs end, so that an audit knows whether the ledgers hold all that is in them."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from messaging.feed import Feeds, LogReplaced
from messaging.port import NotNow
from services.kernel.consumer.cursors import cursor_at
from services.kernel.consumer.generations import active_generation
from services.kernel.database import Database
from services.views.audit_queries import LogEnd

ASK_WITHIN_S = 2.0
CATCH_UP_WITHIN_S = 2.0
"""How long an audit waits for the ledgers. Under load something is always on its way to them, for a moment."""
_LOOK_S = 0.05


async def log_ends(database: Database, feeds: Feeds, services: Sequence[str]) -> dict[str, LogEnd]:
    """Where the logs end now. It returns once the ledgers are there, or after a time."""
    ends = dict(zip(services, await asyncio.gather(*(_end(database, feeds, one) for one in services)), strict=True))
    deadline = time.monotonic() + CATCH_UP_WITHIN_S
    while await _is_behind(database, ends) and time.monotonic() < deadline:
        await asyncio.sleep(_LOOK_S)
    return ends


async def _end(database: Database, feeds: Feeds, service: str) -> LogEnd:
    cursor = await database.read(lambda session: cursor_at(session, active_generation(session), service))
    try:
        async with asyncio.timeout(ASK_WITHIN_S):
            return LogEnd((await feeds.of(service).read(cursor, limit=1)).head)
    except LogReplaced:
        return LogEnd(None, "it is another one than was followed; the ledgers are built anew")
    except (NotNow, TimeoutError):
        return LogEnd(None, "it does not answer")


async def _is_behind(database: Database, ends: Mapping[str, LogEnd]) -> bool:
    if any(end.position is None for end in ends.values()):
        return False  # there is no telling, and no sense in waiting

    positions = await database.read(
        lambda session: {service: cursor_at(session, active_generation(session), service).position for service in ends}
    )
    return any(positions[service] < (end.position or 0) for service, end in ends.items())
