"""Announces a service's events to whoever asks: its log as a feed of CloudEvents, by long polling.

Guarantees:
- The log is the outbox. What is in the feed was committed, and what was committed is in the feed, in commit order.
- A reader that goes on from the position it was told never skips an event (event_log.py says why).
- A reader of another log, or of a later state of this one (it was restored from a back-up since), gets 409.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from sqlmodel import Session
from starlette.responses import Response

from contracts.base import Sought
from contracts.events import (
    BATCH_MEDIA_TYPE,
    EVENTS_PATH,
    HEAD_HEADER,
    LOG_ID_HEADER,
    POSITION_HEADER,
    PublicEvent,
)
from services.kernel import event_log
from services.kernel.aggregates import AnyAggregate, aggregate_of
from services.kernel.database import Database
from services.kernel.errors import LogReplaced
from services.kernel.tables import EventRow

MAX_PAGE = 1000
MAX_WAIT_S = 30.0
_POLL_S = 0.2
"""How soon a waiting reader sees what another process has committed. What this one commits wakes it at once."""

_GATHER_S = 0.01
"""How long an answer waits for more, once there is something: under load, one answer carries many events."""

After = Annotated[int, Query(ge=0, le=2**63 - 1, description="Read the events after this position.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many events at most.")]
Wait = Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="How many seconds to wait for the first of them.")]
LogId = Annotated[Sought | None, Query(max_length=100, description="The log that was followed so far.")]


class EventFeed:
    def __init__(self, service: str, database: Database, aggregates: Sequence[AnyAggregate]) -> None:
        self._service = service
        self._database = database
        self._aggregates = aggregates
        self._committed = asyncio.Event()
        self._closing = False

    def close(self) -> None:
        """Lets waiting readers go, and keeps no new ones: the process is to end, and they would hold it up."""
        self._closing = True
        self.wake()

    def wake(self) -> None:
        """Tells waiting readers to look again."""
        self._committed.set()
        self._committed = asyncio.Event()

    def router(self) -> APIRouter:
        router = APIRouter(tags=["events"])

        @router.get(EVENTS_PATH, response_model=list[PublicEvent])
        async def read_events(after: After = 0, limit: Limit = 100, wait: Wait = 0, log_id: LogId = None) -> Response:
            """The public events after a position, as a CloudEvents JSON batch. Empty if there are none in time.

            The headers tell the log's id, the position of its last event, and the position to go on from.
            """
            deadline = time.monotonic() + wait
            while True:
                committed = self._committed
                answer, empty = await self._database.read(lambda session: self._read(session, after, limit, log_id))
                remaining_s = deadline - time.monotonic()
                if not empty or remaining_s <= 0 or self._closing:
                    return answer
                if await _comes(committed, within_s=min(_POLL_S, remaining_s)):
                    await asyncio.sleep(_GATHER_S)

        return router

    def _read(self, session: Session, after: int, limit: int, log_id: str | None) -> tuple[Response, bool]:
        ours, head = event_log.log_id(session), event_log.log_head(session)
        if log_id not in (None, ours):
            raise LogReplaced(f"this log is {ours}, not {log_id}; read it from its start")
        if after > head:
            raise LogReplaced(f"this log ends at position {head}, before {after}; read it from its start")
        events, position = self._page(session, ours, after, limit)
        headers = {LOG_ID_HEADER: ours, HEAD_HEADER: str(head), POSITION_HEADER: str(position)}
        body = f"[{','.join(event.to_json() for event in events)}]"
        return Response(body, headers=headers, media_type=BATCH_MEDIA_TYPE), position == after

    def _page(self, session: Session, log_id: str, after: int, limit: int) -> tuple[list[PublicEvent], int]:
        rows = event_log.read_log(session, after=after, limit=limit)
        announced = (self._announce(row, log_id) for row in rows)
        return [event for event in announced if event is not None], max([after, *(row.position or 0 for row in rows)])

    def _announce(self, row: EventRow, log_id: str) -> PublicEvent | None:
        aggregate = aggregate_of(row.stream, self._aggregates)
        announcement = aggregate.announce(aggregate.decode(row.type, row.data), row.stream)
        if announcement is None:
            return None
        return PublicEvent.of(
            self._service,
            announcement.data,
            subject=announcement.order_id or row.stream,
            time=row.recorded_at,
            causationid=f"{row.key}/{row.command}",
            sagaid=row.saga_id,
            stream=row.stream,
            streamversion=row.version,
            position=row.position or 0,
            logid=log_id,
        )


async def _comes(event: asyncio.Event, *, within_s: float) -> bool:
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False
