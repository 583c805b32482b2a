"""The transport that needs nothing installed: reads each service's log over HTTP, by long polling.

Guarantees: the events of a service come in the order of its log, none is left out, and one may come again. What makes
this hold is the log itself (positions grow in commit order) and the reader's own cursor; nothing is kept here.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol, Self

import httpx
import structlog
from pydantic import TypeAdapter, ValidationError

from contracts.events import EVENTS_PATH, HEAD_HEADER, LOG_ID_HEADER, LOG_REPLACED, POSITION_HEADER, PublicEvent
from contracts.wire import Problem
from messaging.pause import Pause
from messaging.port import Cursor, NotNow, Page, Taker
from messaging.tls import trusted

_EVENTS: TypeAdapter[tuple[PublicEvent, ...]] = TypeAdapter(tuple[PublicEvent, ...])
_LIMITS = httpx.Limits(keepalive_expiry=3.0)  # servers close idle connections after 5 s; ours go first
_MARGIN_S = 5.0
"""How much longer than it asked to wait a reader waits for the answer."""
PAGE = 200
WAIT_S = 10.0


class LogReplaced(Exception):
    """The log that the reader followed is not there any more; it has to begin anew."""


class LogReader(Protocol):
    """Reads one service's log from any place on."""

    async def read(self, cursor: Cursor, *, limit: int = PAGE, wait_s: float = 0) -> Page:
        """The events after the cursor; none if there are none within `wait_s`.

        Raises:
            LogReplaced: the log is another one, or ends before the cursor.
            NotNow: the service gave no readable answer.
        """


class Feed:
    """One service's event feed. Safe to share between tasks; close it with `close()`."""

    def __init__(self, service: str, base_url: str, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self.service = service
        self._http = httpx.AsyncClient(
            base_url=base_url, verify=trusted(), trust_env=False, limits=_LIMITS, transport=transport
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def read(self, cursor: Cursor, *, limit: int = PAGE, wait_s: float = 0) -> Page:
        params: dict[str, str | int | float] = {"after": cursor.position, "limit": limit, "wait": wait_s}
        if cursor.log_id is not None:
            params["log_id"] = cursor.log_id
        try:
            response = await self._http.get(EVENTS_PATH, params=params, timeout=wait_s + _MARGIN_S)
        except httpx.HTTPError as error:
            raise NotNow(f"the {self.service} service's feed cannot be read ({type(error).__name__})") from None
        if response.status_code == httpx.codes.CONFLICT and _code(response) == LOG_REPLACED:
            raise LogReplaced(f"the {self.service} service's log is not the one that was followed")
        if response.status_code != httpx.codes.OK:
            raise NotNow(f"the {self.service} service's feed answered {response.status_code}")
        try:
            return Page(
                service=self.service,
                log_id=response.headers[LOG_ID_HEADER],
                after=cursor.position,
                events=_EVENTS.validate_json(response.content),
                position=int(response.headers[POSITION_HEADER]),
                head=int(response.headers[HEAD_HEADER]),
            )
        except (ValidationError, KeyError, ValueError) as error:
            raise NotNow(f"the {self.service} service's feed sent an unreadable answer") from error


class Feeds:
    """The feeds of several services."""

    def __init__(self, readers: Mapping[str, LogReader]) -> None:
        self._readers = readers

    @classmethod
    def at(cls, urls: Mapping[str, str]) -> Self:
        return cls({service: Feed(service, url) for service, url in urls.items()})

    async def close(self) -> None:
        for reader in self._readers.values():
            if isinstance(reader, Feed):
                await reader.close()

    def of(self, service: str) -> LogReader:
        return self._readers[service]

    async def catch_up(self, taker: Taker, service: str) -> None:
        """Hands over all that is in the log now.

        Raises:
            NotNow: the log cannot be read, or the consumer cannot take anything.
        """
        while await self._hand_over(taker, service, wait_s=0):
            pass

    async def follow(self, taker: Taker, service: str) -> None:
        """Hands over all that is in the log and all that comes, until cancelled."""
        pause = Pause()
        log = structlog.get_logger().bind(consumer=taker.name, source=service)
        while True:
            try:
                await self._hand_over(taker, service, wait_s=WAIT_S)
            except NotNow as error:
                if pause.is_first:
                    log.warning("following interrupted", error=str(error))
                await pause.next()
            else:
                if not pause.is_first:
                    log.info("following again")
                pause.reset()

    async def _hand_over(self, taker: Taker, service: str, *, wait_s: float) -> bool:
        """One page. False if that was all there is."""
        cursor = await taker.cursor(service)
        try:
            page = await self._readers[service].read(cursor, wait_s=wait_s)
        except LogReplaced:
            await taker.replaced(service)
            return True
        # An empty page tells the log's id, and may move the cursor over events that are no public ones.
        says_something = page.events or page.position != cursor.position or cursor.log_id is None
        if says_something and not await taker.take(page):
            return True  # the cursor was moved back meanwhile, by a switch to a younger read model
        return page.head is not None and page.position < page.head


class FeedTransport:
    """Follows the feeds, and nothing else."""

    def __init__(self, feeds: Feeds) -> None:
        self._feeds = feeds

    async def follow(self, taker: Taker) -> None:
        async with asyncio.TaskGroup() as group:
            for service in taker.services:
                group.create_task(self._feeds.follow(taker, service))


def _code(response: httpx.Response) -> str | None:
    try:
        return Problem.model_validate_json(response.content).code
    except ValidationError:
        return None
