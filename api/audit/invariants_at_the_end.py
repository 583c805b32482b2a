"""The invariants of how a saga ended: what completed, compensated and forced must mean in the services. Pure."""

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
from api.audit.service_events import Authorized, Booked, events_of, told
from api.audit.verdicts import Verdict, verdict
from api.services import GatewayHold
from contracts.faults import Phase
from contracts.sagas import Residue

NOT_HELD = "no authorization is live"
DISPATCHED = "the shipment is dispatched, exactly once"
LEFT = "exactly the ordered units left the stock"
CONFIRMED = "the order is confirmed, exactly once"
NOT_SHIPPED = "no shipment is live"
RETURNED = "the stock is as before"
REJECTED = "the order is rejected or was never placed"

_EXPLAINS = {
    Residue(step="confirm_order", phase=Phase.ACTION): {CONFIRMED},
    Residue(step="dispatch_shipment", phase=Phase.ACTION): {DISPATCHED, LEFT},
    Residue(step="place_order", phase=Phase.COMPENSATION): {REJECTED},
    Residue(step="authorize_payment", phase=Phase.COMPENSATION): {NOT_HELD},
    Residue(step="book_shipment", phase=Phase.COMPENSATION): {NOT_SHIPPED, RETURNED},
}
"""What cannot hold if an operation was skipped and had no effect. The pivot cannot be skipped."""


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


def forced(evidence: Evidence) -> Iterator[Verdict]:
    """All that holds for a saga that ended the same way without a skip, but for what the skipped operations left."""
    yield _residue_is_listed(evidence)
    explained_by = {
        invariant: residue
        for residue in set(evidence.residue) & set(_residue_found(evidence))
        for invariant in _EXPLAINS.get(residue, ())
    }
    for judged in completed(evidence) if _went_forward(evidence) else compensated(evidence):
        residue = explained_by.get(judged.invariant)
        if judged.holds or residue is None:
            yield judged
        else:
            yield verdict(f"{judged.invariant}, but for {_named(residue)}", [], *judged.evidence)


def _nothing_held(evidence: Evidence) -> Verdict:
    live = live_authorizations(evidence.payment)
    line = f"held {money_of(evidence.payment).held}, in {len(live)} live authorizations"
    return verdict(NOT_HELD, [line] if live else [], line)


def _residue_is_listed(evidence: Evidence) -> Verdict:
    """What is listed may turn out smaller than listed: an operator gives up on an effect that is not known."""
    listed, found = set(evidence.residue), set(_residue_found(evidence))
    unlisted = [f"{_named(residue)} is left, and not listed" for residue in found - listed]
    seen = [f"{_named(residue)} is listed, and {'is' if residue in found else 'is not'} left" for residue in listed]
    return verdict("nothing is left beyond the residue listed", unlisted, *seen)


def all_or_nothing(evidence: Evidence) -> Verdict:
    """A saga that was ended from outside promises nothing; this tells whether somebody has to clean up after it."""
    broken = [
        [one.invariant for one in judged if not one.holds] for judged in (compensated(evidence), completed(evidence))
    ]
    wrong = [f"not so: {invariant}" for invariant in min(broken, key=len)] if all(broken) else []
    return verdict("ended from outside, yet nothing is half done", wrong, "all is done, or nothing is left")


def gateway_agrees(evidence: Evidence) -> Verdict:
    ours = {key: hold for key, hold in holds_of(evidence.payment).items() if hold[1]}
    theirs = {hold.key: (hold.state, hold.amount_minor) for hold in _holds_at_gateway(evidence) if hold.amount_minor}
    captured = money_of(evidence.payment).captured
    captured_there = sum(capture.amount_minor for capture in evidence.gateway.captures) if evidence.gateway else 0
    line = f"holds: ours {ours}, theirs {theirs}; captured: ours {captured}, theirs {captured_there}"
    right = ours == theirs and captured == captured_there
    return verdict("the gateway's books agree with ours", [] if right else [line], line)


def _holds_at_gateway(evidence: Evidence) -> tuple[GatewayHold, ...]:
    return evidence.gateway.holds if evidence.gateway else ()


def _went_forward(evidence: Evidence) -> bool:
    """Actions are skipped only behind the pivot, compensations only when the saga is unwinding."""
    return any(residue.phase is Phase.ACTION for residue in evidence.residue)


def _residue_found(evidence: Evidence) -> Iterator[Residue]:
    """Which operations look as if they had been skipped: exactly what that leaves, not something half done."""
    if _went_forward(evidence):
        phase, found = Phase.ACTION, _missing_of_completed(evidence)
    else:
        phase, found = Phase.COMPENSATION, _left_of_compensated(evidence)
    yield from (Residue(step=step, phase=phase) for step, is_found in found.items() if is_found)


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


def _named(residue: Residue) -> str:
    return f"{residue.step} ({residue.phase})"
