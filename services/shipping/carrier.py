"""Carriers that answer later: the port, and the desk that takes their answers to the bookings that wait for them.

Guarantees:
- What waits for an answer is found in the database, so a process that dies forgets nothing.
- One answer counts, however many replicas ask: the barrier lets the first one through (services/kernel/executor.py).
  It drops one to a booking that was cancelled meanwhile.
- A database that is away, or a carrier that fails, costs time and nothing else. Failing at one parcel, or at many, it
  holds up no other one, whether it raises, answers what it must not, or does not answer at all.
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
from services.kernel.under_way import Place, commands_under_way, place_of
from services.shipping.domain import answer_for
from services.shipping.handlers import BOOK_SHIPMENT, SHIPMENT, conclude_booking

_AT_ONCE = 50
"""How many bookings are looked at together."""
_LOOK_S = 5.0
"""How often one looks for what other replicas have accepted, and died before they could ask."""
_PAUSE_S = 1.0
"""After something that failed."""
_ANSWER_WITHIN_S = 10.0
"""How long a carrier may take over one question."""


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

    def __init__(self, database: Database, carrier: Carrier, *, answer_within_s: float = _ANSWER_WITHIN_S) -> None:
        self._database = database
        self._carrier = carrier
        self._answer_within_s = answer_within_s
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
                pause_s = await self._round(executor)
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

    async def _round(self, executor: Executor) -> float | None:
        """Takes all answers that are due; says in how long to look again, None if nothing waits for any."""
        place: Place | None = None
        failed = False
        while True:
            # Those that fail are left behind, so that they are in nobody's way, until the next round.
            due, place, next_at = await self._database.read(partial(self._due, place))
            answers = await asyncio.gather(*map(self._ask, due))
            for parcel, answer in zip(due, answers, strict=True):
                failed |= not (answer and await self._take(executor, parcel, answer.declined))
            if place is None:
                break
        if failed:
            return _PAUSE_S
        return (next_at - datetime.now(UTC)).total_seconds() if next_at else None

    async def _ask(self, parcel: Parcel) -> "_Answer | None":
        """None if the carrier failed."""
        try:
            async with asyncio.timeout(self._answer_within_s):
                return _Answer(await self._carrier.answer(parcel))
        except Exception:
            self._log.exception("carrier failed", stream=parcel.order_id)
            return None

    async def _take(self, executor: Executor, parcel: Parcel, declined: Refusal | None) -> bool:
        """Whether there is nothing left to be done for the parcel."""
        try:
            concluded = await executor.conclude(
                BOOK_SHIPMENT, parcel.key, partial(conclude_booking, parcel.order_id, declined)
            )
        except TryLater:
            raise
        except Exception:
            self._log.exception("carrier's answer makes no sense", stream=parcel.order_id)
            return False
        outcome = (declined.code if declined else "done") if concluded else "dropped"
        self._log.info("carrier answered", stream=parcel.order_id, outcome=outcome)
        return True

    def _due(self, after: Place | None, session: Session) -> tuple[list[Parcel], Place | None, datetime | None]:
        """What the carrier is to be asked about now; where to go on, None at the end; when the next one is due."""
        now = datetime.now(UTC)
        due: list[Parcel] = []
        rows = commands_under_way(session, BOOK_SHIPMENT.name, limit=_AT_ONCE, after=after)
        for row in rows:
            due_at = row.recorded_at + self._carrier.delay
            if due_at > now:
                return due, None, due_at
            due.append(_parcel(session, row.key, row.stream))
        return due, place_of(rows[-1]) if len(rows) == _AT_ONCE else None, None


@dataclass(frozen=True, slots=True)
class _Answer:
    declined: Refusal | None


def _parcel(session: Session, key: str, stream: str) -> Parcel:
    shipment = event_log.load(session, SHIPMENT, stream).state
    assert shipment.shipping_address is not None  # noqa: S101 - it was stored with the acceptance
    return Parcel(key, stream, shipment.units, shipment.shipping_address)
