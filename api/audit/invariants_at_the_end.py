"""The invariants of how a saga ended: what completed, compensated and forced must mean in the services. Pure."""

from collections import Counter
from collections.abc import Iterator

from api.audit.evidence import Evidence, holds_of, live_shipments, money_of, moved, order_status, placed_order
from api.audit.service_events import Authorized, Booked, events_of, told
from api.audit.verdicts import Verdict, verdict
from api.services import GatewayHold
from contracts.faults import Phase
from contracts.sagas import Residue


def completed(evidence: Evidence) -> Iterator[Verdict]:
    placed, money = placed_order(evidence), money_of(evidence.payment)
    captures = events_of(evidence.payment, "PaymentCaptured")
    currencies = {told(event, Authorized).currency for event in events_of(evidence.payment, "PaymentAuthorized")}
    total = placed.total_minor if placed else None
    line = f"captured {money.captured} {'/'.join(currencies)} in {len(captures)} captures, of a total of {total}"
    right = placed is not None and len(captures) == 1 and money.captured == total and currencies == {placed.currency}
    yield verdict("the order's total is captured, exactly once", [] if right else [line], line)

    ordered: Counter[str] = placed.units if placed else Counter()
    booked = events_of(evidence.shipping, "ShipmentBooked")
    dispatches = len(events_of(evidence.shipping, "ShipmentDispatched"))
    shipped = told(booked[-1], Booked).by_sku if booked else Counter()
    live = live_shipments(evidence)
    line = f"{live} live shipments, {dispatches} dispatched, of {dict(shipped)}; ordered {dict(ordered)}"
    right = live == dispatches == 1 and shipped == ordered
    yield verdict("one shipment of exactly the ordered units is dispatched", [] if right else [line], line)

    left = {sku: moved(evidence, sku, "StockDispatched") for sku in ordered}
    line = f"{left} left, {dict(ordered)} were ordered"
    yield verdict("exactly the ordered units left the stock", [] if left == ordered else [line], line)

    line = f"the order is {order_status(evidence)}"
    yield verdict("the order is confirmed", [] if order_status(evidence) == "confirmed" else [line], line)


def compensated(evidence: Evidence) -> Iterator[Verdict]:
    money = money_of(evidence.payment)
    line = f"captured {money.captured}"
    captured = events_of(evidence.payment, "PaymentCaptured")
    yield verdict("nothing is captured", [line] if captured else [], line)

    line = f"held {money.held}"
    yield verdict("no authorization is live", [line] if money.held else [], line)

    line = f"{live_shipments(evidence)} live shipments"
    yield verdict("no shipment is live", [line] if live_shipments(evidence) else [], line)

    wrong, seen = [], []
    for sku in evidence.stock:
        taken, returned = moved(evidence, sku, "StockBooked"), moved(evidence, sku, "StockReturned")
        line = f"{sku}: {taken} taken, {returned} returned"
        wrong += [line] if taken != returned else []
        seen.append(line)
    yield verdict("the stock is as before", wrong, *(seen or ["no stock was touched"]))

    line = f"the order is {order_status(evidence)}"
    right = order_status(evidence) in ("rejected", "never placed")
    yield verdict("the order is rejected or was never placed", [] if right else [line], line)


def residue_is_listed(evidence: Evidence) -> Verdict:
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


def _residue_found(evidence: Evidence) -> Iterator[Residue]:
    """What is missing of a completed order, or left of a compensated one, whichever way the saga went."""
    if any(residue.phase is Phase.ACTION for residue in evidence.residue):
        missing = {
            "capture_payment": not events_of(evidence.payment, "PaymentCaptured"),
            "confirm_order": order_status(evidence) != "confirmed",
            "dispatch_shipment": not events_of(evidence.shipping, "ShipmentDispatched"),
        }
        yield from (Residue(step=step, phase=Phase.ACTION) for step, is_missing in missing.items() if is_missing)
        return
    left = {
        "place_order": order_status(evidence) in ("pending", "confirmed"),
        "authorize_payment": money_of(evidence.payment).held > 0,
        "book_shipment": live_shipments(evidence) > 0,
        "capture_payment": bool(events_of(evidence.payment, "PaymentCaptured")),
    }
    yield from (Residue(step=step, phase=Phase.COMPENSATION) for step, is_left in left.items() if is_left)


def _named(residue: Residue) -> str:
    return f"{residue.step} ({residue.phase})"
