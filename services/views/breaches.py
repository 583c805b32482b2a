"""What an event breaks for ever, whatever comes after it. Pure: no I/O, no framework.

Guarantee: an event is held only to earlier events of its own service, so it does not matter how the services' events
interleave. A new public event needs its line in the tables here, and nothing else.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from contracts.audits import Finding, Invariant
from contracts.events import PublicEvent
from contracts.views import StockView

TAKES_BACK = {
    "OrderRejected": "OrderPlaced",
    "PaymentVoided": "PaymentAuthorized",
    "ShipmentBookingRefused": "StockBooked",
    "ShipmentCancelled": "ShipmentBooked",
    "StockReturned": "StockBooked",
    "ReturnWithdrawn": "ReturnOpened",
    "ShipmentRecallCancelled": "ShipmentRecalled",
}
"""Each effect that takes another one back, under the same key. What a carrier has refused was never announced as a
shipment; of its units the stock has told."""
EFFECTS = {
    *TAKES_BACK,
    *TAKES_BACK.values(),
    "PaymentCaptured",
    "OrderConfirmed",
    "ShipmentDispatched",
    "StockDispatched",
    "PaymentRefunded",
    "OrderReturned",
    "ShipmentReturned",
    "StockTakenBack",
}
"""What a saga's step does, in either phase, and may do once under its key."""
BARRED_BY = {
    "OrderPlaced": {"OrderRejected"},
    "PaymentAuthorized": {"PaymentVoided"},
    "ShipmentBooked": {"ShipmentCancelled", "ShipmentBookingRefused", "StockReturned"},
    "ShipmentBookingRefused": {"ShipmentCancelled", "StockReturned"},
    "StockBooked": {"StockReturned"},
    "ReturnOpened": {"ReturnWithdrawn"},
    "ShipmentRecalled": {"ShipmentRecallCancelled"},
}
"""What must not come any more under a key once something else has."""
NEVER_BOTH = {"OrderConfirmed": "OrderRejected", "OrderRejected": "OrderConfirmed"}
NEEDS = {"OrderConfirmed": "OrderPlaced", "ReturnOpened": "OrderConfirmed", "OrderReturned": "ReturnOpened"}
"""What must have come before in the stream, under whichever key."""


class Earlier(NamedTuple):
    """As much of an earlier event about the same order, of the same service, as it takes to judge a later one."""

    stream: str
    version: int
    type: str
    key: str


def key_of(causationid: str) -> str:
    """The idempotency key: causes are `key/command`."""
    return causationid.rpartition("/")[0]


def remembered(event: PublicEvent) -> Earlier:
    return Earlier(event.stream, event.streamversion, event.type, key_of(event.causationid))


def id_of(service: str, stream: str, version: int) -> str:
    return f"{service} {stream}:{version}"


def breaches(event: PublicEvent, earlier: Sequence[Earlier]) -> Iterator[tuple[Invariant, Finding]]:
    """What an event breaks, by earlier events about its order.

    Args:
        earlier: those of its service, in the order of its log.
    """
    key = key_of(event.causationid)
    same_key = [one for one in earlier if one.key == key]
    if event.type in EFFECTS:
        twin = _first(same_key, event.type, stream=event.stream)
        if twin:
            yield Invariant.ONCE, _finding(event, f"{event.type} for {key} is there already", twin)
    action = TAKES_BACK.get(event.type)
    # Units are taken on a SKU's shelf, and so are given back there; all else is about one stream.
    within = event.stream if action and _is_about_stock(action) == _is_about_stock(event.type) else None
    if action and not _first(same_key, action, stream=within):
        yield Invariant.NAMED, _finding(event, f"{event.type} for {key}, but no {action} before it")
    for barring in sorted(BARRED_BY.get(event.type, ())):
        within = event.stream if _is_about_stock(barring) == _is_about_stock(event.type) else None
        barred = _first(same_key, barring, stream=within)
        if barred:
            yield Invariant.TOMBSTONE, _finding(event, f"{event.type} for {key} came after {barring}", barred)
            break
    contrary = NEVER_BOTH.get(event.type)
    other = _first(earlier, contrary, stream=event.stream) if contrary else None
    if other:
        yield Invariant.DECIDED, _finding(event, f"{event.type}, and {other.type} before it", other)
    needed = NEEDS.get(event.type)
    if needed and not _first(earlier, needed, stream=event.stream):
        yield Invariant.DECIDED, _finding(event, f"{event.type}, but no {needed} before it")


def stock_breaches(event: PublicEvent, stock: StockView) -> Iterator[tuple[Invariant, Finding]]:
    """What an event breaks by the stock that it leaves of its SKU."""
    sums = {"on hand": stock.on_hand, "booked": stock.booked}
    negative = [f"{name} is {number}" for name, number in sums.items() if number < 0]
    if stock.on_hand + stock.booked + stock.dispatched - stock.taken_back != stock.received:
        negative.append("the sums are not what was received")
    if negative:
        yield Invariant.STOCK, _finding(event, f"{stock.sku}: {', '.join(negative)} after {event.type}")


def surplus_breach(event: PublicEvent, sku: str, over: int) -> tuple[Invariant, Finding]:
    """An order gives back, or sends off, units that were not set aside for it."""
    what = f"{sku}: {over} more came back or were sent off than there were for the order"
    return Invariant.STOCK, _finding(event, what)


def merged(found: Iterable[tuple[Invariant, Finding]]) -> Iterator[tuple[Invariant, Finding]]:
    """One finding for each invariant, since an event is one thing that is wrong."""
    by_invariant: dict[Invariant, Finding] = {}
    for invariant, finding in found:
        known = by_invariant.get(invariant)
        if known is not None:
            events = tuple(dict.fromkeys((*known.events, *finding.events)))
            finding = known.model_copy(update={"what": f"{known.what}; {finding.what}", "events": events})
        by_invariant[invariant] = finding
    yield from by_invariant.items()


def _first(events: Iterable[Earlier], event_type: str, *, stream: str | None) -> Earlier | None:
    return next((one for one in events if one.type == event_type and stream in (None, one.stream)), None)


def _is_about_stock(event_type: str) -> bool:
    return event_type.startswith("Stock")


def _finding(event: PublicEvent, what: str, earlier: Earlier | None = None) -> Finding:
    shown = [id_of(event.service, event.stream, event.streamversion)]
    if earlier:
        shown.insert(0, id_of(event.service, earlier.stream, earlier.version))
    return Finding(what=what, events=tuple(shown))
