"""The way out to customers: the port, an adapter that only logs, and the loop that sends what was recorded.

Guarantees:
- At least once. A notification is marked as sent after it was; a crash in between has it sent again, under the same id.
- An order's notifications are sent in the order of their events' times, a later one only after those before it.
- One that cannot be sent is tried again without end, ever more seldom up to a limit. Meanwhile other orders' are sent,
  and events are taken as ever.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

import structlog
from sqlalchemy import bindparam, exists, tuple_
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from services.kernel.columns import UtcTime
from services.kernel.database import Database
from services.kernel.errors import TryLater
from services.notifications.tables import NotificationRow

POLL_S = 1.0
"""How soon what is due again is seen. What was just recorded wakes it."""
SEND_WITHIN_S = 10.0
"""How long one attempt may take."""
FIRST_RETRY_S = 0.5
LONGEST_RETRY_S = 60.0
"""Between two attempts for one notification."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 3.0
"""Between two attempts for any, while all of them fail: most likely nothing can be sent for the moment."""

_EARLIER = aliased(NotificationRow)
_NEXT_DUE = (
    select(NotificationRow)
    .where(
        col(NotificationRow.sent_at).is_(None),
        col(NotificationRow.customer_id).is_not(None),
        col(NotificationRow.due_at) <= bindparam("now", type_=UtcTime()),
        ~exists().where(
            col(_EARLIER.order_id) == col(NotificationRow.order_id),
            col(_EARLIER.sent_at).is_(None),
            tuple_(col(_EARLIER.recorded_at), col(_EARLIER.place))
            < tuple_(col(NotificationRow.recorded_at), col(NotificationRow.place)),
        ),
    )
    .order_by(col(NotificationRow.due_at), col(NotificationRow.place))
    .limit(1)
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Notification:
    id: str
    """The same whenever it is sent again."""
    order_id: str
    customer_id: str
    event_type: str
    text: str


class NotificationSender(Protocol):
    """A way to customers: mail, a push service, a queue."""

    async def send(self, notification: Notification) -> None:
        """Returns once it is on its way. Where sending it twice would hurt, look at its id.

        Raises:
            Exception: whatever it is, it will be tried again.
        """


class LogSender:
    """Implements `NotificationSender` with one line in the log, which is sent nowhere.

    The customer's id is the only personal data in it; texts hold none.
    """

    async def send(self, notification: Notification) -> None:
        structlog.get_logger().info(
            "customer notified",
            id=notification.id,
            customer_id=notification.customer_id,
            order_id=notification.order_id,
            type=notification.event_type,
            text=notification.text,
        )


class Sending:
    """Sends what is recorded and unsent, one by one. Only one of them may run on a database."""

    def __init__(self, database: Database, sender: NotificationSender, *, send_within_s: float = SEND_WITHIN_S) -> None:
        self._database = database
        self._sender = sender
        self._send_within_s = send_within_s
        self._recorded = asyncio.Event()
        self._log = structlog.get_logger()

    def wake(self) -> None:
        """Has it look at once."""
        self._recorded.set()

    async def run(self) -> None:
        """Sends until it is cancelled."""
        pause_s = FIRST_PAUSE_S
        row = await self._next()
        while True:
            if row is None:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._recorded.wait(), POLL_S)
                row = await self._next()
                continue
            sent = await self._attempt(row)
            row = await self._next(after=row)
            if sent:
                pause_s = FIRST_PAUSE_S
            else:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                row = await self._next()  # what was recorded meanwhile may have to go before it

    async def _attempt(self, row: NotificationRow) -> bool:
        """Whether it was sent; what became of it is in the row, and not stored yet."""
        notification = _notification(row)
        try:
            async with asyncio.timeout(self._send_within_s):
                await self._sender.send(notification)
        except Exception as error:
            row.failures += 1
            row.due_at = datetime.now(UTC) + _backoff(row.failures)
            why = type(error).__name__  # its text may quote the customer's address
            self._log.warning("notification not sent", id=notification.id, failures=row.failures, error=why)
        else:
            row.sent_at = datetime.now(UTC)
        return row.sent_at is not None

    async def _next(self, after: NotificationRow | None = None) -> NotificationRow | None:
        """The next one to be sent, once it is stored what became of the one before."""
        self._recorded.clear()
        if after is None:
            return await self._until_done(lambda: self._database.read(_next_due))
        return await self._until_done(lambda: self._database.write(partial(_store_and_look, after)))

    async def _until_done(self, act: Callable[[], Awaitable[T]]) -> T:
        """Tries again as long as the database is away. To go on instead would send the same again and again."""
        while True:
            try:
                return await act()
            except (TryLater, SQLAlchemyError):
                self._log.exception("notifications' database does not answer")
                await asyncio.sleep(LONGEST_PAUSE_S)


def _store_and_look(row: NotificationRow, session: Session) -> NotificationRow | None:
    stored = session.get_one(NotificationRow, row.place)
    stored.failures, stored.due_at, stored.sent_at = row.failures, row.due_at, row.sent_at
    session.flush()
    return _next_due(session)


def _next_due(session: Session) -> NotificationRow | None:
    """The one that is due for longest, among each order's first that is unsent."""
    return session.exec(_NEXT_DUE, params={"now": datetime.now(UTC)}).first()


def _notification(row: NotificationRow) -> Notification:
    return Notification(
        id=f"{row.service}/{row.event_id}/{row.event_type}",
        order_id=row.order_id,
        customer_id=row.customer_id or "",
        event_type=row.event_type,
        text=row.text,
    )


def _backoff(failures: int) -> timedelta:
    doublings = min(failures - 1, 30)  # far beyond the limit, and short of what a number can hold
    return timedelta(seconds=min(FIRST_RETRY_S * 2**doublings, LONGEST_RETRY_S))
