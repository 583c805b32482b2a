"""Whether the invariants hold over everything: a pure function from what was seen to a verdict on each invariant.

Guarantees:
- What was not seen is not judged: a log that is not all in the ledgers, a part that did not answer, a saga of which
  nobody can tell whether it has ended make a verdict unknown, never `holds`.
- What is broken for ever is said to be broken whatever else is unknown.
- Each verdict carries its evidence, whether it holds or not, and no more of it than a page takes.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from uuid import UUID

from api.audit.survey import Survey
from contracts.audits import (
    AT_THE_END,
    EXAMPLES,
    Finding,
    Findings,
    Invariant,
    InvariantAudit,
    Judgement,
    OrderCounts,
    SystemAudit,
    grouped,
)

_BY_BARRIERS = (Invariant.NAMED, Invariant.TOMBSTONE)
"""What only the services' own barriers can tell in full."""
_BY_SAGAS = (*AT_THE_END, Invariant.GATEWAY)
"""What is judged once an order's saga has ended."""


def judge(seen: Survey, at: datetime) -> SystemAudit:
    """The verdicts on all invariants."""
    reasons = {invariant: list(_unknown(seen, invariant)) for invariant in Invariant}
    invariants = tuple(_judge(seen, invariant, reasons[invariant]) for invariant in Invariant)
    return SystemAudit(
        verdict=_worst(one.verdict for one in invariants),
        at=at,
        waits_for=tuple(dict.fromkeys(reason for invariant in Invariant for reason in reasons[invariant])),
        orders=_counts(seen),
        logs=seen.ledgers.logs,
        invariants=invariants,
    )


def _judge(seen: Survey, invariant: Invariant, unknown: list[str]) -> InvariantAudit:
    found = [one for one in _found(seen) if one.invariant is invariant]
    count = sum(one.count for one in found)
    judgement = Judgement.BROKEN if count else Judgement.UNKNOWN if unknown else Judgement.HOLDS
    examples = tuple(example for one in found for example in one.examples)[:EXAMPLES]
    return InvariantAudit(
        invariant=invariant,
        verdict=judgement,
        evidence=tuple(unknown) if judgement is Judgement.UNKNOWN else tuple(_evidence(seen, invariant)),
        count=count,
        findings=examples,
    )


def _found(seen: Survey) -> Iterator[Findings]:
    yield from seen.ledgers.findings
    for barrier in seen.barriers.values():
        yield from barrier.findings
    yield from grouped(_found_at_the_end(seen))


def _found_at_the_end(seen: Survey) -> Iterator[tuple[Invariant, Finding]]:
    for order, status in seen.amiss:
        ended = f"its saga has ended {status}" if status else "its saga has ended"
        for one in order.amiss:
            yield (
                one.invariant,
                Finding(
                    what=f"order {order.order_id}: {one.what}, and {ended}", events=one.events, order_id=order.order_id
                ),
            )
    for forced in seen.forced_amiss:
        for broken in forced.broken:
            yield Invariant.RESIDUE, Finding(what=f"order {forced.order_id}: {broken}", order_id=forced.order_id)
    for difference in seen.differing:
        yield Invariant.GATEWAY, Finding(what=str(difference), order_id=_uuid(difference.order_id))


def _unknown(seen: Survey, invariant: Invariant) -> Iterator[str]:
    """Why the invariant cannot be said to hold."""
    yield from seen.ledgers.waits_for
    if invariant in _BY_BARRIERS:
        yield from seen.barriers_missing
    if invariant in _BY_SAGAS and seen.not_judged:
        yield from seen.orders_missing
        yield f"of {seen.not_judged} open orders it is not known whether their sagas have ended"
    if invariant is Invariant.GATEWAY:
        if seen.books_missing:
            yield seen.books_missing
        if seen.books_unsure:
            yield "the gateway tells orders differently of which it is not known whether their sagas have ended"
        if seen.books and seen.books.unread:
            yield f"{seen.books.unread} more parts of the books differ than one audit looks into"


def _evidence(seen: Survey, invariant: Invariant) -> Iterator[str]:
    """What there was to see."""
    ledgers = seen.ledgers
    match invariant:
        case Invariant.COMPLETE:
            yield from (f"{log.service}: taken up to position {log.position} of {log.head}" for log in ledgers.logs)
        case Invariant.ONCE:
            yield from (f"{log.service}: all looked at up to position {log.position}" for log in ledgers.logs)
        case Invariant.NAMED | Invariant.TOMBSTONE:
            for service, barrier in seen.barriers.items():
                undos = f"{barrier.undos} compensations and fences, {barrier.tombstones} of them tombstones"
                yield f"{service}: {undos}, up to position {barrier.position}"
        case Invariant.MONEY:
            yield from ledgers.money
        case Invariant.STOCK:
            yield from ledgers.stock
            if ledgers.skus > len(ledgers.stock):
                yield f"and {ledgers.skus - len(ledgers.stock)} more SKUs"
        case Invariant.RESIDUE:
            yield f"{seen.forced} forced sagas have left no more than they list"
        case Invariant.GATEWAY:
            yield f"{seen.books.totals if seen.books else 0} holds agree but for those of orders on their way"
        case Invariant.CAPTURED | Invariant.SHIPPED | Invariant.REFUNDED:
            yield f"{ledgers.completed} confirmed orders"
        case Invariant.NOT_CAPTURED | Invariant.RETURNED:
            yield f"{ledgers.compensated} orders that were rejected, or never placed"
        case Invariant.DECIDED | Invariant.NOT_HELD:
            yield f"{ledgers.completed + ledgers.compensated} orders that have ended, {seen.in_flight} on their way"


def _counts(seen: Survey) -> OrderCounts:
    return OrderCounts(
        completed=seen.ledgers.completed,
        compensated=seen.ledgers.compensated,
        forced=seen.forced,
        in_flight=seen.in_flight,
        amiss=len(seen.amiss) + len(seen.forced_amiss),
        not_judged=seen.not_judged,
    )


def _worst(verdicts: Iterable[Judgement]) -> Judgement:
    found = set(verdicts)
    return next((one for one in (Judgement.BROKEN, Judgement.UNKNOWN) if one in found), Judgement.HOLDS)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
