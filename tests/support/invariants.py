"""The invariants by the names that the audit gives them, and what a forced saga may list as left."""

from api.audit.verdicts import Audit
from contracts.faults import Phase
from contracts.sagas import Residue

ONCE = "at most one effect per saga, step and phase"
NAMED = "every compensation names its action or is a tombstone"
TOMBSTONE = "no effect after its tombstone"
MONEY = "authorized money is captured, voided, expired or held"
STOCK = "stock adds up and is never negative"
CAPTURED = "the order's total is captured, exactly once"
BOOKED = "one shipment of exactly the ordered units is booked"
DISPATCHED = "the shipment is dispatched, exactly once"
LEFT = "exactly the ordered units left the stock"
CONFIRMED = "the order is confirmed, exactly once"
NEVER_REJECTED = "the order was never rejected"
NEVER_CONFIRMED = "the order was never confirmed"
NOT_CAPTURED = "nothing is captured"
NOT_HELD = "no authorization is live"
NOT_SHIPPED = "no shipment is live"
RETURNED = "the stock is as before"
REJECTED = "the order is rejected or was never placed"
COVERED = "no more is refunded than was captured"
PAID_BACK = "a return has refunded exactly what it took back"
RESIDUE = "nothing is left beyond the residue listed"
GATEWAY = "the gateway's books agree with ours"

SHIPMENT_LEFT = Residue(step="book_shipment", phase=Phase.COMPENSATION)
MONEY_HELD = Residue(step="authorize_payment", phase=Phase.COMPENSATION)


def broken(judged: Audit) -> set[str]:
    return {verdict.invariant for verdict in judged.verdicts if not verdict.holds}
