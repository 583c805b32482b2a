"""Carriers that answer later: the port, and the desk that takes their answers to the bookings that wait for them.

Guarantees:
- What waits for an answer is found in the database, so a process that dies forgets nothing.
- One answer counts, however many replicas ask: the barrier lets the first one through (services/kernel/executor.py).
  It drops one to a booking that was cancelled meanwhile.
- A database that is away, or a carrier that fails, costs time and nothing else. Failing at one parcel, it holds up no
  other one.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import structlog
from sqlmodel import Session

from contracts.commands import Units
from contracts.orders import Address
from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.errors import TryLater
from services.kernel.executor import Executor
from services.kernel.refusal import Refusal
from services.kernel.under_way import commands_under_way
from services.shipping.domain import answer_for
from services.shipping.handlers import BOOK_SHIPMENT, SHIPMENT, conclude_booking

_AT_ONCE = 50
"""How many bookings are looked at together."""
_LOOK_S = 5.0
"""How often one looks for what other replicas have accepted, and died before they could ask."""
_PAUSE_S = 1.0
"""After something that failed."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """What a carrier is asked to fetch, and to bring where."""

    key: str
    """The booking's idempotency key, by which the carrier tells a repeated question from a second parcel."""
    order_id: str
    units: tuple[Units, ...]
    to: Address


class Carrier(Protocol):
    """Fetches parcels. Asked again about the same one it answers the same."""

    @property
    def delay(self) -> timedelta:
        """How long after a booking was accepted it is asked for its answer."""

    async def answer(self, parcel: Parcel) -> Refusal | None:
        """None if it will fetch the parcel; else why not, with a code that `BookShipment` declares."""


@dataclass(frozen=True, slots=True)
class CarrierSimulator:
    """Takes its time, and delivers to all countries but a few."""

    delay: timedelta

    async def answer(self, parcel: Parcel) -> Refusal | None:
        return answer_for(parcel.to)


class CarrierDesk:
    """Asks the carrier about the bookings that were accepted, in the order in which they were."""

    def __init__(self, database: Database, carrier: Carrier) -> None:
        self._database = database
        self._carrier = carrier
        self._accepted = asyncio.Event()
        self._log = structlog.get_logger().bind(service="shipping")

    def wake(self) -> None:
        """A booking was accepted."""
        self._accepted.set()

    async def run(self, executor: Executor) -> None:
        """Until it is cancelled."""
        while True:
            self._accepted.clear()
            try:
                pause_s = await self._look(executor)
            except TryLater as error:
                self._log.warning("carrier waits", error=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            if pause_s is not None:
                # What is accepted meanwhile is due later than what waits already.
                await asyncio.sleep(min(pause_s, _LOOK_S))
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._accepted.wait()

    async def _look(self, executor: Executor) -> float | None:
        """Takes the answers that are due; says in how long the next one is, None if nothing waits for any."""
        due, next_at = await self._database.read(self._due)
        answers = await asyncio.gather(*map(self._carrier.answer, due), return_exceptions=True)
        for parcel, answer in zip(due, answers, strict=True):
            if not isinstance(answer, BaseException):
                await self._take(executor, parcel, answer)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer  # now that it has held up no other parcel
        if next_at is not None:
            return (next_at - datetime.now(UTC)).total_seconds()
        return 0 if due else None

    async def _take(self, executor: Executor, parcel: Parcel, declined: Refusal | None) -> None:
        concluded = await executor.conclude(
            BOOK_SHIPMENT, parcel.key, partial(conclude_booking, parcel.order_id, declined)
        )
        outcome = (declined.code if declined else "done") if concluded else "dropped"
        self._log.info("carrier answered", stream=parcel.order_id, outcome=outcome)

    def _due(self, session: Session) -> tuple[list[Parcel], datetime | None]:
        """What the carrier is to be asked about now, and when the next one is due, if one is known of."""
        now = datetime.now(UTC)
        due: list[Parcel] = []
        for row in commands_under_way(session, BOOK_SHIPMENT.name, limit=_AT_ONCE):
            due_at = row.recorded_at + self._carrier.delay
            if due_at > now:
                return due, due_at
            due.append(_parcel(session, row.key, row.stream))
        return due, None


def _parcel(session: Session, key: str, stream: str) -> Parcel:
    shipment = event_log.load(session, SHIPMENT, stream).state
    assert shipment.shipping_address is not None  # noqa: S101 - it was stored with the acceptance
    return Parcel(key, stream, shipment.units, shipment.shipping_address)
