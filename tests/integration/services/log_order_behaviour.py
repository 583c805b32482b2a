"""What every database must keep to: a reader that follows positions misses nothing, however commits overlap.

A suite: a back end inherits it, and supplies the URL of an empty database.
"""

import asyncio
import random
import time
from collections import defaultdict
from contextlib import closing
from uuid import uuid4

from contracts.events import LOG_ID_HEADER, POSITION_HEADER
from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.errors import TryLater
from services.kernel.event_log import Origin
from services.order.events import OrderConfirmed
from services.order.handlers import ORDER
from tests.support.service_process import service_process

WRITERS = 8
STREAMS = 25
"""Of each writer."""
EVENTS = 2
"""Of each stream, appended in transactions of their own."""
LONGEST_DELAY_S = 0.004
"""Between an event's insertion, when it has its position, and its commit."""


class LogOrderBehaviour:
    async def test_follower_when_eight_writers_commit_late_misses_nothing_and_keeps_each_streams_order(
        self, database_url: str
    ) -> None:
        async with service_process("order", database_url=database_url, fault_injection=False) as running:
            writing = [asyncio.to_thread(write, database_url, seed) for seed in range(WRITERS)]
            writers = asyncio.gather(*writing)
            at_the_head = asyncio.create_task(asyncio.to_thread(follow_closely, database_url))
            followed: list[tuple[int, str, int]] = []
            position, log = 0, ""
            while len(followed) < WRITERS * STREAMS * EVENTS:
                page = await running.service.http.get(f"/events?after={position}&limit=7&wait=10{log}", timeout=20)
                events = page.json()
                assert events, f"nothing came any more after {len(followed)} events at position {position}"
                followed += [(event["position"], event["stream"], event["streamversion"]) for event in events]
                position, log = int(page.headers[POSITION_HEADER]), f"&log_id={page.headers[LOG_ID_HEADER]}"
            written = [stream for streams in await writers for stream in streams]

        assert [p for p, _, _ in followed] == sorted({p for p, _, _ in followed})
        # Pages of seven lag behind the head. What is committed too late is missed by who looks there.
        assert await at_the_head == [p for p, _, _ in followed]
        versions = defaultdict(list)
        for _, stream, version in followed:
            versions[stream].append(version)
        assert versions == {stream: list(range(1, EVENTS + 1)) for stream in written}


def follow_closely(database_url: str) -> list[int]:
    """The positions of all events, by a reader who looks at the log's head again and again."""
    deadline = time.monotonic() + 30
    positions: list[int] = []
    with closing(Database(database_url)) as database:
        while len(positions) < WRITERS * STREAMS * EVENTS and time.monotonic() < deadline:
            with database.reading() as session:
                after = positions[-1] if positions else 0
                rows = event_log.read_log(session, after=after, limit=1000)
                positions += [row.position or 0 for row in rows]
    return positions


def write(database_url: str, seed: int) -> list[str]:
    """Appends to streams of its own, over a connection of its own. Answers their names."""
    delays, database = random.Random(seed), Database(database_url)
    streams = [str(uuid4()) for _ in range(STREAMS)]
    for version in range(EVENTS):
        for stream in streams:
            _append(database, stream, version, delays.uniform(0, LONGEST_DELAY_S))
    database.close()
    return streams


def _append(database: Database, stream: str, version: int, delay_s: float) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            with database.writing() as session:
                origin = Origin(f"key-{stream}", "ConfirmOrder", None)
                event_log.append(session, ORDER, stream, [OrderConfirmed()], expected_version=version, origin=origin)
                time.sleep(delay_s)  # the commit is late, and others are waiting
        except TryLater:
            assert time.monotonic() < deadline
        else:
            return
