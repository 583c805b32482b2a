"""How an order stands by the ledgers: what was done for it, and what is amiss if nothing more comes. Pure.

Guarantee: each service's events change fields of their own, so it does not matter how the services' events interleave.

An order is settled when it ended, and all is as it must be at that end. One that is not may be on its way, or wrong:
which of the two, only its saga can tell, and whoever asks about few open orders need not ask about the many settled.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from contracts.audits import Invariant
from contracts.events import (
    EventData,
    OrderConfirmed,
    OrderPlaced,
    OrderRejected,
    OrderReturned,
    PublicEvent,
    ReturnOpened,
    ReturnWithdrawn,
    ShipmentBooked,
    ShipmentCancelled,
    ShipmentDispatched,
    ShipmentRecallCancelled,
    ShipmentRecalled,
    ShipmentReturned,
    StockBooked,
    StockDispatched,
    StockReturned,
    StockTakenBack,
)
from services.views.breaches import Earlier, remembered
from services.views.facts import PaymentFact
from services.views.order_view import Hold, HoldStatus


class Standing(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    COMPENSATED = "compensated"


@dataclass(frozen=True, slots=True)
class Ordered:
    total_minor: int
    currency: str
    units: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Moves:
    """Units of one SKU that were moved for an order."""

    booked: int = 0
    returned: int = 0
    dispatched: int = 0
    taken_back: int = 0
    """After they were dispatched."""

    @property
    def set_aside(self) -> int:
        """Taken off the shelf, and still there."""
        return self.booked - self.returned - self.dispatched


@dataclass(frozen=True, slots=True)
class Latest:
    """The latest event about an order, of whichever service."""

    at: datetime
    service: str
    saga_id: str | None


@dataclass(frozen=True, slots=True)
class OrderLedger:
    ordered: Ordered | None = None
    confirmed: int = 0
    rejected: int = 0
    returns_opened: int = 0
    returns_withdrawn: int = 0
    returned: int = 0
    holds: Mapping[str, Hold] = field(default_factory=dict)
    """By authorization."""
    shipments_booked: int = 0
    shipments_cancelled: int = 0
    shipments_dispatched: int = 0
    recalls: int = 0
    recalls_cancelled: int = 0
    shipments_returned: int = 0
    contents: Mapping[str, int] = field(default_factory=dict)
    """Of the last shipment that was booked, by SKU."""
    moved: Mapping[str, Moves] = field(default_factory=dict)
    """By SKU."""
    latest: Latest | None = None
    seen: Mapping[str, tuple[Earlier, ...]] = field(default_factory=dict)
    """By service, its events so far."""

    @property
    def live_shipments(self) -> int:
        return self.shipments_booked - self.shipments_cancelled

    def holds_that_are(self, status: HoldStatus) -> list[Hold]:
        return [hold for hold in self.holds.values() if hold.status is status]


@dataclass(frozen=True, slots=True)
class Broken:
    """An invariant that does not hold for an order as it stands, and the types of the events that show it."""

    invariant: Invariant
    what: str
    shown_by: tuple[str, ...]


_PAYMENTS = ("PaymentAuthorized", "PaymentCaptured", "PaymentVoided", "PaymentExpired")
_SHIPMENTS = ("ShipmentBooked", "ShipmentCancelled", "ShipmentDispatched", "ShipmentBookingRefused")
_RETURNS = (
    *("ReturnOpened", "ReturnWithdrawn", "OrderReturned", "PaymentCaptured", "PaymentRefunded"),
    *("ShipmentRecalled", "ShipmentRecallCancelled", "ShipmentReturned", "StockDispatched", "StockTakenBack"),
)
_STOCK = ("StockBooked", "StockReturned", "StockDispatched")
_DECISIONS = ("OrderPlaced", "OrderConfirmed", "OrderRejected")


def evolve(ledger: OrderLedger, event: PublicEvent, fact: EventData, hold: Hold | None) -> OrderLedger:
    """The ledger after an event.

    Args:
        hold: of an event about a payment, what has become of its authorization.
    """
    seen = {**ledger.seen, event.service: (*ledger.seen.get(event.service, ()), remembered(event))}
    # Sorted, so that a ledger looks the same in whichever order the services were heard of.
    seen = dict(sorted(seen.items()))
    return replace(_changed(ledger, fact, hold), latest=_latest(ledger.latest, event), seen=seen)


def standing_of(ledger: OrderLedger) -> Standing:
    if any(amiss(ledger)):
        return Standing.OPEN
    return Standing.COMPLETED if ledger.confirmed else Standing.COMPENSATED


def surplus(ledger: OrderLedger, sku: str) -> int:
    """How many units more were given back or sent off than had been set aside, or came back than had been sent off."""
    moves = ledger.moved.get(sku, Moves())
    return max(0, -moves.set_aside, moves.taken_back - moves.dispatched)


def amiss(ledger: OrderLedger) -> Iterator[Broken]:
    """What would be wrong with the order if its saga had ended."""
    if ledger.confirmed:
        yield from _amiss_when_confirmed(ledger)
    elif ledger.rejected or ledger.ordered is None:
        yield from _amiss_when_rejected(ledger)
    else:
        yield Broken(Invariant.DECIDED, "the order is pending", _DECISIONS)
    held = ledger.holds_that_are(HoldStatus.HELD)
    if held:
        yield Broken(
            Invariant.NOT_HELD, f"{sum(hold.amount_minor for hold in held)} is held", (*_DECISIONS, *_PAYMENTS)
        )
    if ledger.confirmed and ledger.rejected:
        yield Broken(Invariant.DECIDED, "the order is confirmed, and rejected", _DECISIONS)


def _amiss_when_confirmed(ledger: OrderLedger) -> Iterator[Broken]:
    ordered, captured = ledger.ordered, ledger.holds_that_are(HoldStatus.CAPTURED)
    if ordered is None:
        yield Broken(Invariant.DECIDED, "the order is confirmed, and was never placed", _DECISIONS)
        return
    if [(hold.amount_minor, hold.currency) for hold in captured] != [(ordered.total_minor, ordered.currency)]:
        sums = ", ".join(f"{hold.amount_minor} {hold.currency}" for hold in captured) or "nothing"
        what = f"captured {sums}, of a total of {ordered.total_minor} {ordered.currency}"
        yield Broken(Invariant.CAPTURED, what, (*_DECISIONS, *_PAYMENTS))
    wrong = list(_amiss_in_shipping(ledger, ordered))
    if wrong:
        yield Broken(Invariant.SHIPPED, "; ".join(wrong), (*_DECISIONS, *_SHIPMENTS, *_STOCK))
    wrong = list(_amiss_in_returning(ledger, ordered))
    if wrong:
        yield Broken(Invariant.REFUNDED, "; ".join(wrong), _RETURNS)


def _amiss_in_shipping(ledger: OrderLedger, ordered: Ordered) -> Iterator[str]:
    if ledger.live_shipments != 1 or ledger.shipments_dispatched != 1:
        yield f"{ledger.live_shipments} shipments live, {ledger.shipments_dispatched} dispatched"
    if ledger.contents != ordered.units:
        yield f"{dict(ledger.contents)} shipped, {dict(ordered.units)} ordered"
    left = {sku: moves.dispatched for sku, moves in ledger.moved.items() if moves.dispatched}
    if left != ordered.units:
        yield f"{left} left the stock, {dict(ordered.units)} ordered"
    still = {sku: moves.set_aside for sku, moves in ledger.moved.items() if moves.set_aside}
    if still:
        yield f"{still} still set aside"


def _amiss_in_returning(ledger: OrderLedger, ordered: Ordered) -> Iterator[str]:
    """A returned order was refunded and came back whole; of another one nothing did, and no return is half done."""
    expected = 1 if ledger.returned else 0
    under_way = ledger.returns_opened - ledger.returns_withdrawn - ledger.returned
    if ledger.returned > 1 or under_way:
        yield f"{ledger.returned} returns closed, {under_way} open"
    refunded = [hold.refunded_minor for hold in ledger.holds.values() if hold.refunded_minor]
    if refunded != [ordered.total_minor] * expected:
        yield f"refunded {sum(refunded)}, of a total of {ordered.total_minor}"
    recalled = ledger.recalls - ledger.recalls_cancelled
    if (recalled, ledger.shipments_returned) != (expected, expected):
        yield f"{recalled} shipments recalled, {ledger.shipments_returned} returned"
    back = {sku: moves.taken_back for sku, moves in ledger.moved.items() if moves.taken_back}
    if back != (ordered.units if expected else {}):
        yield f"{back} came back, {dict(ordered.units)} ordered"


def _amiss_when_rejected(ledger: OrderLedger) -> Iterator[Broken]:
    captured = ledger.holds_that_are(HoldStatus.CAPTURED)
    if captured:
        what = f"{sum(hold.amount_minor for hold in captured)} is captured"
        yield Broken(Invariant.NOT_CAPTURED, what, (*_DECISIONS, *_PAYMENTS))
    wrong = []
    if ledger.live_shipments or ledger.shipments_dispatched:
        wrong.append(f"{ledger.live_shipments} shipments live, {ledger.shipments_dispatched} dispatched")
    gone = {sku: moves.booked - moves.returned for sku, moves in ledger.moved.items() if moves.booked != moves.returned}
    if gone:
        wrong.append(f"{gone} taken from the stock and not returned")
    if wrong:
        yield Broken(Invariant.RETURNED, "; ".join(wrong), (*_DECISIONS, *_SHIPMENTS, *_STOCK))


def _changed(ledger: OrderLedger, fact: EventData, hold: Hold | None) -> OrderLedger:
    match fact:
        case OrderPlaced():
            units = Counter[str]()
            for line in fact.lines:
                units[line.sku] += line.quantity
            return replace(ledger, ordered=Ordered(fact.total_minor, fact.currency, dict(units)))
        case OrderConfirmed():
            return replace(ledger, confirmed=ledger.confirmed + 1)
        case OrderRejected():
            return replace(ledger, rejected=ledger.rejected + 1)
        case ShipmentBooked():
            contents = {unit.sku: unit.quantity for unit in fact.units}
            return replace(ledger, shipments_booked=ledger.shipments_booked + 1, contents=contents)
        case ShipmentCancelled():
            return replace(ledger, shipments_cancelled=ledger.shipments_cancelled + 1)
        case ShipmentDispatched():
            return replace(ledger, shipments_dispatched=ledger.shipments_dispatched + 1)
        case ReturnOpened():
            return replace(ledger, returns_opened=ledger.returns_opened + 1)
        case ReturnWithdrawn():
            return replace(ledger, returns_withdrawn=ledger.returns_withdrawn + 1)
        case OrderReturned():
            return replace(ledger, returned=ledger.returned + 1)
        case ShipmentRecalled():
            return replace(ledger, recalls=ledger.recalls + 1)
        case ShipmentRecallCancelled():
            return replace(ledger, recalls_cancelled=ledger.recalls_cancelled + 1)
        case ShipmentReturned():
            return replace(ledger, shipments_returned=ledger.shipments_returned + 1)
        case StockBooked() | StockReturned() | StockDispatched() | StockTakenBack():
            return replace(ledger, moved={**ledger.moved, fact.sku: _moved(ledger.moved.get(fact.sku, Moves()), fact)})
    if isinstance(fact, PaymentFact) and hold is not None:
        return replace(ledger, holds={**ledger.holds, fact.authorization: hold})
    return ledger


def _moved(moves: Moves, fact: StockBooked | StockReturned | StockDispatched | StockTakenBack) -> Moves:
    match fact:
        case StockBooked():
            return replace(moves, booked=moves.booked + fact.quantity)
        case StockReturned():
            return replace(moves, returned=moves.returned + fact.quantity)
        case StockDispatched():
            return replace(moves, dispatched=moves.dispatched + fact.quantity)
        case StockTakenBack():
            return replace(moves, taken_back=moves.taken_back + fact.quantity)


def _latest(latest: Latest | None, event: PublicEvent) -> Latest:
    # Of the same moment the service decides, so that it does not matter which of two came first to us.
    if latest and (latest.at, latest.service) > (event.time, event.service):
        return latest
    return Latest(event.time, event.service, event.sagaid)
