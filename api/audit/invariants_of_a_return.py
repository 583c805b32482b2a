"""What a return saga promises at its end: all of it is back and paid back, or it is as if nobody had asked. Pure.

Other returns of the same order may have come before, or come after. So what must be there once is counted over all of
them; what must not be there is asked of this saga alone.
"""

from collections import Counter
from collections.abc import Iterator

from api.audit.evidence import Evidence, money_of, moved, order_status, placed_order
from api.audit.promises import Promise
from api.audit.service_events import events_of
from api.audit.verdicts import Verdict, verdict
from api.services import StoredEvent, Stream
from contracts.faults import Phase
from contracts.sagas import Residue

REFUNDED = "all that was captured is refunded, exactly once"
SHIPMENT_BACK = "the shipment is returned, exactly once"
UNITS_BACK = "exactly the ordered units are on hand again"
ORDER_RETURNED = "the order is returned, exactly once"
NOT_REFUNDED = "this return has refunded nothing"
NOTHING_BACK = "nothing came back by this return"
NOT_RECALLED = "nothing is recalled by this return any more"
NOT_OPEN = "this return is not open any more"
NOT_RETURNED = "the order is not returned by it"


def completed(evidence: Evidence) -> Iterator[Verdict]:
    refunds, money = events_of(evidence.payment, "PaymentRefunded"), money_of(evidence.payment)
    line = f"refunded {money.refunded} in {len(refunds)} refunds, of {money.captured} captured"
    right = _once_by_this(evidence, refunds) and money.refunded == money.captured
    yield verdict(REFUNDED, [] if right else [line], line)

    returned = events_of(evidence.shipping, "ShipmentReturned")
    line = f"returned {len(returned)} times"
    yield verdict(SHIPMENT_BACK, [] if _once_by_this(evidence, returned) else [line], line)

    placed = placed_order(evidence)
    ordered: Counter[str] = placed.units if placed else Counter()
    back = {sku: moved(evidence, sku, "StockTakenBack") for sku in evidence.stock}
    line = f"{back} taken back, {dict(ordered)} were ordered"
    yield verdict(UNITS_BACK, [] if ordered and back == ordered else [line], line)

    closed = events_of(evidence.order, "OrderReturned")
    line = f"the order is {order_status(evidence)}, and was returned {len(closed)} times"
    yield verdict(ORDER_RETURNED, [] if _once_by_this(evidence, closed) else [line], line)


def compensated(evidence: Evidence) -> Iterator[Verdict]:
    yield _never(NOT_REFUNDED, evidence, evidence.payment, "PaymentRefunded")
    back = [_by_this(evidence, stream, "ShipmentReturned", "StockTakenBack") for stream in _moving(evidence)]
    wrong = [f"{event.type} at position {event.position}" for events in back for event in events]
    yield verdict(NOTHING_BACK, wrong, "no ShipmentReturned, no StockTakenBack")
    yield _taken_back(NOT_RECALLED, evidence, evidence.shipping, "ShipmentRecalled", "ShipmentRecallCancelled")
    yield _taken_back(NOT_OPEN, evidence, evidence.order, "ReturnOpened", "ReturnWithdrawn")
    yield _never(NOT_RETURNED, evidence, evidence.order, "OrderReturned")


def _missing(evidence: Evidence) -> dict[str, bool]:
    return {
        "refund_payment": not events_of(evidence.payment, "PaymentRefunded"),
        "receive_shipment": not events_of(evidence.shipping, "ShipmentReturned")
        and not any(moved(evidence, sku, "StockTakenBack") for sku in evidence.stock),
        "close_order": not events_of(evidence.order, "OrderReturned"),
    }


def _left(evidence: Evidence) -> dict[str, bool]:
    return {
        "open_return": _is_left(evidence, evidence.order, "ReturnOpened", "ReturnWithdrawn"),
        "recall_shipment": _is_left(evidence, evidence.shipping, "ShipmentRecalled", "ShipmentRecallCancelled"),
        "refund_payment": bool(_by_this(evidence, evidence.payment, "PaymentRefunded")),
    }


RETURN_PROMISE = Promise(
    completed,
    compensated,
    {
        Residue(step="receive_shipment", phase=Phase.ACTION): {SHIPMENT_BACK, UNITS_BACK},
        Residue(step="close_order", phase=Phase.ACTION): {ORDER_RETURNED},
        Residue(step="open_return", phase=Phase.COMPENSATION): {NOT_OPEN},
        Residue(step="recall_shipment", phase=Phase.COMPENSATION): {NOT_RECALLED},
    },
    _missing,
    _left,
)


def _by_this(evidence: Evidence, stream: Stream | None, *types: str) -> list[StoredEvent]:
    return [event for event in events_of(stream, *types) if event.saga_id == evidence.saga_id]


def _once_by_this(evidence: Evidence, events: list[StoredEvent]) -> bool:
    return [event.saga_id for event in events] == [evidence.saga_id]


def _moving(evidence: Evidence) -> tuple[Stream | None, ...]:
    """Where something that comes back is seen."""
    return (evidence.shipping, *evidence.stock.values())


def _never(invariant: str, evidence: Evidence, stream: Stream | None, event_type: str) -> Verdict:
    times = len(_by_this(evidence, stream, event_type))
    line = f"{times} times {event_type} by this return"
    return verdict(invariant, [line] if times else [], line)


def _taken_back(invariant: str, evidence: Evidence, stream: Stream | None, effect: str, undoing: str) -> Verdict:
    effects, undone = (len(_by_this(evidence, stream, event_type)) for event_type in (effect, undoing))
    line = f"{effects} times {effect}, {undone} times {undoing} by this return"
    return verdict(invariant, [] if effects == undone else [line], line)


def _is_left(evidence: Evidence, stream: Stream | None, effect: str, undoing: str) -> bool:
    return len(_by_this(evidence, stream, effect)) == 1 and not _by_this(evidence, stream, undoing)
