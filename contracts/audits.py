"""What an audit of everything says: of each invariant whether it holds, and the events that show it.

Three places contribute: the query side's ledgers, which the event logs have built; each service's own barrier, whose
tombstones are no events; and the payment gateway's books. The API puts them together (api/audit/everything.py).
"""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from contracts.base import Contract

EXAMPLES = 20
"""How many findings of a kind are shown, and events of a finding. All of them are counted."""


class Invariant(StrEnum):
    """What must hold, over everything."""

    COMPLETE = "every event of the logs is in the ledgers"
    ONCE = "at most one effect per saga, step and phase"
    NAMED = "every compensation names its action or is a tombstone"
    TOMBSTONE = "no effect after its tombstone"
    MONEY = "authorized money is captured, voided, expired or held"
    STOCK = "stock adds up and is never negative"
    DECIDED = "an order ends confirmed or rejected, and never both"
    CAPTURED = "a confirmed order's total is captured, exactly once"
    SHIPPED = "a confirmed order's units have left, exactly those, in one shipment"
    NOT_HELD = "no money is held for an order that has ended"
    NOT_CAPTURED = "nothing is captured for an order that was rejected"
    RETURNED = "nothing is shipped or set aside for an order that was rejected"
    REFUNDED = "an order is returned whole and refunded, or neither"
    RESIDUE = "a forced saga has left no more than it lists"
    GATEWAY = "the gateway's books agree with ours"


AT_THE_END = (
    Invariant.DECIDED,
    Invariant.CAPTURED,
    Invariant.SHIPPED,
    Invariant.NOT_HELD,
    Invariant.NOT_CAPTURED,
    Invariant.RETURNED,
    Invariant.REFUNDED,
    Invariant.RESIDUE,
)
"""Those to which an order is held when its saga has ended. While it runs they may be broken for a while."""


class Judgement(StrEnum):
    HOLDS = "holds"
    BROKEN = "broken"
    UNKNOWN = "unknown"
    """Not all that it takes to judge was there. Ask again."""


class Finding(Contract):
    """One thing that is not as it must be."""

    what: str
    events: tuple[str, ...] = ()
    """Those that show it, as `service stream:version`."""
    order_id: UUID | None = None


class Findings(Contract):
    """Of one invariant: how many there are, and the first of them."""

    invariant: Invariant
    count: int
    examples: Annotated[tuple[Finding, ...], Field(max_length=EXAMPLES)] = ()


class LogSeen(Contract):
    """How much of a service's log an audit has seen."""

    service: str
    position: int
    """Up to which its events are in the ledgers."""
    head: int | None = None
    """Its end, when the audit began; null where the service did not tell."""


class BarrierAudit(Contract):
    """What a service says of its own barrier: its undos, against all events of its log."""

    position: int
    """Of the log's last event."""
    undos: int
    """Compensations and fences on record."""
    tombstones: int
    """Those of them that found nothing to undo, or fenced."""
    findings: tuple[Findings, ...] = ()


class LedgerAudit(Contract):
    """What the query side's ledgers say, built from the event logs alone."""

    logs: tuple[LogSeen, ...]
    waits_for: tuple[str, ...] = ()
    """Why not all that is in the logs is in the ledgers. Empty if all is."""
    completed: int
    """Orders that are confirmed, and with which all is as it must be then."""
    compensated: int
    """Orders that are rejected or were never placed, and with which all is as it must be then."""
    open: int
    """All others: on their way, or with something amiss."""
    stock: tuple[str, ...] = ()
    """The sums of some SKUs."""
    skus: int = 0
    money: tuple[str, ...] = ()
    """The sums of each currency."""
    findings: tuple[Findings, ...] = ()
    """What is wrong whatever comes."""


class Amiss(Contract):
    """What keeps an order from being settled. It is wrong once its saga has ended."""

    invariant: Invariant
    what: str
    events: tuple[str, ...] = ()


class OrderAtRest(Contract):
    """One order by the ledgers, and what would be amiss if nothing more came."""

    order_id: UUID
    saga_id: str | None
    """Of the latest event: the saga that is, or was, at work on it."""
    since: datetime
    """The time of that event."""
    amiss: tuple[Amiss, ...] = ()


class OpenOrders(Contract):
    """A page of the open orders, those first to which nothing has happened for longest."""

    orders: tuple[OrderAtRest, ...]
    next: str | None = None
    """What to give as `after` for the next page."""


class BookTotal(Contract):
    """A sum of money in somebody's books over all orders whose ids begin alike."""

    prefix: str
    state: str
    """`held`, `captured`, `voided` or `expired`; `taken` and `refunded` are the sums of the
    captures and refunds themselves."""
    currency: str
    """Empty of captures and refunds, which name none."""
    count: int
    amount_minor: int
    fingerprint: int
    """Made of the orders' ids: two sums that are equal by chance differ here."""


class BookEntry(Contract):
    """One order's money in somebody's books."""

    order_id: str
    key: str
    """The authorization's."""
    state: str
    currency: str
    amount_minor: int


class InvariantAudit(Contract):
    """The verdict on one invariant."""

    invariant: Invariant
    verdict: Judgement
    evidence: tuple[str, ...] = ()
    """What the verdict is seen by."""
    count: int = 0
    """How many findings there are."""
    findings: Annotated[tuple[Finding, ...], Field(max_length=EXAMPLES)] = ()
    """The first of them."""


class OrderCounts(Contract):
    """All orders of which the logs tell, by what an audit makes of them."""

    completed: int
    compensated: int
    forced: int
    """Ended by an operator's decision, with no more left than is listed."""
    in_flight: int
    """Their sagas are on their way. They are held to what must hold at any moment, and to nothing else."""
    amiss: int
    """Their sagas have ended, and something is not as it must be."""
    not_judged: int
    """Open ones of which could not be told whether their sagas have ended."""


class SystemAudit(Contract):
    """Whether the invariants hold, over everything."""

    verdict: Judgement
    """Broken if anything is; else unknown if anything is; else it holds."""
    at: datetime
    waits_for: tuple[str, ...] = ()
    """Why something is unknown."""
    orders: OrderCounts
    logs: tuple[LogSeen, ...]
    invariants: tuple[InvariantAudit, ...]


def grouped(found: Iterable[tuple[Invariant, Finding]]) -> tuple[Findings, ...]:
    """Findings by invariant, in the order of the invariants."""
    by_invariant: dict[Invariant, list[Finding]] = {}
    for invariant, finding in found:
        by_invariant.setdefault(invariant, []).append(finding)
    return tuple(
        Findings(invariant=invariant, count=len(findings), examples=tuple(findings[:EXAMPLES]))
        for invariant in Invariant
        if (findings := by_invariant.get(invariant))
    )
