"""What an order saga promises at its end: all is done, or nothing is left. And the gateway's books. Pure."""

from collections import Counter
from collections.abc import Iterator

from api.audit.evidence import (
    TAKEN,
    Evidence,
    holds_of,
    live_authorizations,
    live_shipments,
    money_of,
    moved,
    order_status,
    placed_order,
)
from api.audit.promises import Promise
from api.audit.service_events import Authorized, Booked, Refunded, events_of, told
from api.audit.verdicts import Verdict, verdict
from api.services import GatewayHold
from contracts.faults import Phase
from contracts.sagas import Residue, SagaStatus

NOT_HELD = "no authorization is live"
DISPATCHED = "the shipment is dispatched, exactly once"
LEFT = "exactly the ordered units left the stock"
CONFIRMED = "the order is confirmed, exactly once"
NOT_SHIPPED = "no shipment is live"
RETURNED = "the stock is as before"
REJECTED = "the order is rejected or was never placed"
PAID_BACK = "a return has refunded exactly what it took back"


def completed(evidence: Evidence) -> Iterator[Verdict]:
    placed, money = placed_order(evidence), money_of(evidence.payment)
    captures = events_of(evidence.payment, "PaymentCaptured")
    currencies = {told(event, Authorized).currency for event in events_of(evidence.payment, "PaymentAuthorized")}
    total = placed.total_minor if placed else None
    line = f"captured {money.captured} {'/'.join(currencies)} in {len(captures)} captures, of a total of {total}"
    right = placed is not None and len(captures) == 1 and money.captured == total and currencies == {placed.currency}
    yield verdict("the order's total is captured, exactly once", [] if right else [line], line)

    yield _nothing_held(evidence)

    ordered: Counter[str] = placed.units if placed else Counter()
    booked = events_of(evidence.shipping, "ShipmentBooked")
    shipped = told(booked[-1], Booked).by_sku if booked else Counter()
    live = live_shipments(evidence)
    line = f"{live} live shipments, of {dict(shipped)}; ordered {dict(ordered)}"
    right = live == 1 and shipped == ordered
    yield verdict("one shipment of exactly the ordered units is booked", [] if right else [line], line)

    dispatches = len(events_of(evidence.shipping, "ShipmentDispatched"))
    line = f"dispatched {dispatches} times"
    yield verdict(DISPATCHED, [] if dispatches == 1 else [line], line)

    left = {sku: moved(evidence, sku, "StockDispatched") for sku in ordered}
    line = f"{left} left, {dict(ordered)} were ordered"
    yield verdict(LEFT, [] if left == ordered else [line], line)

    confirmations = len(events_of(evidence.order, "OrderConfirmed"))
    line = f"the order is {order_status(evidence)}, and was confirmed {confirmations} times"
    yield verdict(CONFIRMED, [] if confirmations == 1 else [line], line)

    rejections = len(events_of(evidence.order, "OrderRejected"))
    line = f"rejected {rejections} times"
    yield verdict("the order was never rejected", [line] if rejections else [], line)

    yield _what_came_back_is_paid_back(evidence, ordered)


def compensated(evidence: Evidence) -> Iterator[Verdict]:
    line = f"captured {money_of(evidence.payment).captured}"
    captured = events_of(evidence.payment, "PaymentCaptured")
    yield verdict("nothing is captured", [line] if captured else [], line)

    yield _nothing_held(evidence)

    line = f"{live_shipments(evidence)} live shipments"
    yield verdict(NOT_SHIPPED, [line] if live_shipments(evidence) else [], line)

    wrong, seen = [], []
    for sku in evidence.stock:
        taken, returned = moved(evidence, sku, "StockBooked"), moved(evidence, sku, "StockReturned")
        line = f"{sku}: {taken} taken, {returned} returned"
        wrong += [line] if taken != returned else []
        seen.append(line)
    yield verdict(RETURNED, wrong, *(seen or ["no stock was touched"]))

    line = f"the order is {order_status(evidence)}"
    right = order_status(evidence) in ("rejected", "never placed")
    yield verdict(REJECTED, [] if right else [line], line)

    confirmations = len(events_of(evidence.order, "OrderConfirmed"))
    line = f"confirmed {confirmations} times"
    yield verdict("the order was never confirmed", [line] if confirmations else [], line)


def _what_came_back_is_paid_back(evidence: Evidence, ordered: Counter[str]) -> Verdict:
    """What a return has left half done it is held to by its own audit."""
    money = money_of(evidence.payment)
    taken = {sku: units for sku in evidence.stock if (units := moved(evidence, sku, "StockTakenBack"))}
    line = f"refunded {money.refunded} of {money.captured}, took back {taken}"
    if evidence.returns_under_way:
        return verdict(PAID_BACK, [], line, f"{', '.join(evidence.returns_under_way)} is under way")
    if SagaStatus.FORCED in evidence.returns.values():
        return verdict(PAID_BACK, [], line, "a return ended forced, with a residue")
    nothing, all_of_it = not taken and not money.refunded, taken == ordered and money.refunded == money.captured
    return verdict(PAID_BACK, [] if nothing or all_of_it else [line], line)


def _nothing_held(evidence: Evidence) -> Verdict:
    live = live_authorizations(evidence.payment)
    line = f"held {money_of(evidence.payment).held}, in {len(live)} live authorizations"
    return verdict(NOT_HELD, [line] if live else [], line)


def gateway_agrees(evidence: Evidence) -> Verdict:
    ours = {key: hold for key, hold in holds_of(evidence.payment).items() if hold[1]}
    theirs = {hold.key: (hold.state, hold.amount_minor) for hold in _holds_at_gateway(evidence) if hold.amount_minor}
    captured = money_of(evidence.payment).captured
    captured_there = sum(capture.amount_minor for capture in evidence.gateway.captures) if evidence.gateway else 0
    refunds, refunds_there = _refunds(evidence)
    line = (
        f"holds: ours {ours}, theirs {theirs}; captured: ours {captured}, theirs {captured_there};"
        f" refunds: ours {refunds}, theirs {refunds_there}"
    )
    # While a return is under way, the gateway may know of a refund that the service is just about to write down.
    right = ours == theirs and captured == captured_there
    right = right and (refunds == refunds_there or bool(evidence.returns_under_way))
    return verdict("the gateway's books agree with ours", [] if right else [line], line)


def _refunds(evidence: Evidence) -> tuple[dict[str | None, int], dict[str | None, int]]:
    """Ours and the gateway's, by the key with which each was asked for."""
    ours = events_of(evidence.payment, "PaymentRefunded")
    theirs = evidence.gateway.refunds if evidence.gateway else ()
    return (
        {event.key: told(event, Refunded).amount_minor for event in ours},
        {refund.key: refund.amount_minor for refund in theirs if refund.amount_minor},
    )


def _holds_at_gateway(evidence: Evidence) -> tuple[GatewayHold, ...]:
    return evidence.gateway.holds if evidence.gateway else ()


def _missing_of_completed(evidence: Evidence) -> dict[str, bool]:
    return {
        "capture_payment": not events_of(evidence.payment, "PaymentCaptured"),
        "confirm_order": not events_of(evidence.order, "OrderConfirmed"),
        "dispatch_shipment": not events_of(evidence.shipping, "ShipmentDispatched")
        and not any(moved(evidence, sku, "StockDispatched") for sku in evidence.stock),
    }


def _left_of_compensated(evidence: Evidence) -> dict[str, bool]:
    return {
        "place_order": order_status(evidence) in ("pending", "confirmed"),
        "authorize_payment": len(live_authorizations(evidence.payment)) == 1,
        "book_shipment": live_shipments(evidence) == 1 and _is_as_booked(evidence),
        "capture_payment": bool(events_of(evidence.payment, "PaymentCaptured")),
    }


def _is_as_booked(evidence: Evidence) -> bool:
    """Whether the stock is taken that the shipment holds, and nothing of it came back or left."""
    booked = told(events_of(evidence.shipping, *TAKEN)[-1], Booked).by_sku
    taken = Counter({sku: moved(evidence, sku, "StockBooked") for sku in evidence.stock})
    gone = any(moved(evidence, sku, how) for sku in evidence.stock for how in ("StockReturned", "StockDispatched"))
    return taken == booked and not gone and not events_of(evidence.shipping, "ShipmentDispatched")


ORDER_PROMISE = Promise(
    completed,
    compensated,
    {
        Residue(step="confirm_order", phase=Phase.ACTION): {CONFIRMED},
        Residue(step="dispatch_shipment", phase=Phase.ACTION): {DISPATCHED, LEFT},
        Residue(step="place_order", phase=Phase.COMPENSATION): {REJECTED},
        Residue(step="authorize_payment", phase=Phase.COMPENSATION): {NOT_HELD},
        Residue(step="book_shipment", phase=Phase.COMPENSATION): {NOT_SHIPPED, RETURNED},
    },
    _missing_of_completed,
    _left_of_compensated,
)
