"""Keeps of each event what an audit of everything needs, within the consumer's transaction.

What an event breaks for ever is a finding, and written down at once. What may be on its way to being right is not: of
that, the order's standing tells (services/views/standing.py). So an audit counts and looks up, and reads no log again.
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import bindparam, insert, select, update
from sqlmodel import Session, SQLModel

from contracts.audits import EXAMPLES, Finding, Invariant
from contracts.events import EventData, PublicEvent, StockDispatched, StockReceived, StockReturned, StockTakenBack
from contracts.views import StockView
from services.views.breaches import breaches, merged, stock_breaches, surplus_breach
from services.views.facts import PaymentFact
from services.views.order_view import Hold, HoldStatus
from services.views.rows import columns_of_standing, ledger_in
from services.views.standing import OrderLedger, evolve, surplus

_HOLDS = SQLModel.metadata.tables["view_holds"]
_STANDINGS = SQLModel.metadata.tables["view_standings"]
_THIS_ORDER = _STANDINGS.c.generation == bindparam("this_generation"), _STANDINGS.c.order_id == bindparam("this_order")
# One column, and always the same ones: this is done for every event, and twice as fast as with `KeyedRows`.
_SELECT_LEDGER = select(_STANDINGS.c.ledger).where(*_THIS_ORDER)
_UPDATE_STANDING = update(_STANDINGS).where(*_THIS_ORDER)
_INSERT_STANDING = insert(_STANDINGS)
_INSERT_FINDING = insert(SQLModel.metadata.tables["view_findings"])
_INSERT_HOLD = insert(_HOLDS)
_SETTLE_HOLD = update(_HOLDS).where(
    _HOLDS.c.generation == bindparam("this_generation"),
    _HOLDS.c.order_id == bindparam("this_order"),
    _HOLDS.c.authorization == bindparam("this_authorization"),
)


@dataclass(frozen=True, slots=True)
class Effect:
    """An event, and what it has changed in the other books."""

    event: PublicEvent
    fact: EventData
    """What it says."""
    hold: Hold | None
    """Of an event about a payment: what has become of its authorization."""
    stock: StockView | None
    """Of an event about stock: what there is of its SKU now."""


def audit_event(session: Session, effect: Effect, generation: int) -> None:
    """Takes an event of a known type.

    Raises:
        ValueError: it is about an order, and does not name one.
    """
    event, fact = effect.event, effect.fact
    found = [] if effect.stock is None else list(stock_breaches(event, effect.stock))
    order_id = None
    if not isinstance(fact, StockReceived):
        order_id = str(UUID(event.subject))
        before = _ledger(session, order_id, generation)
        ledger = evolve(before or OrderLedger(), event, fact, effect.hold)
        _keep_ledger(session, order_id, ledger, generation, is_new=before is None)
        found += breaches(event, before.seen.get(event.service, ()) if before else ())
        if isinstance(fact, StockReturned | StockDispatched | StockTakenBack) and (over := surplus(ledger, fact.sku)):
            found.append(surplus_breach(event, fact.sku, over))
        if isinstance(fact, PaymentFact) and effect.hold is not None:
            _keep_hold(session, order_id, fact.authorization, effect.hold, generation)
    for invariant, finding in merged(found):
        _keep_finding(session, event, invariant, finding, order_id, generation)


def _keep_finding(
    session: Session, event: PublicEvent, invariant: Invariant, finding: Finding, order_id: str | None, generation: int
) -> None:
    row: dict[str, Any] = {
        "generation": generation,
        "invariant": invariant.name,
        "service": event.service,
        "position": event.position,
        "order_id": order_id,
        "what": finding.what,
        "events": list(finding.events[:EXAMPLES]),
    }
    session.connection().execute(_INSERT_FINDING, row)


def _ledger(session: Session, order_id: str, generation: int) -> OrderLedger | None:
    this = {"this_generation": generation, "this_order": order_id}
    found = session.connection().execute(_SELECT_LEDGER, this).scalar()
    return None if found is None else ledger_in(found)


def _keep_ledger(session: Session, order_id: str, ledger: OrderLedger, generation: int, *, is_new: bool) -> None:
    if is_new:
        row = {"generation": generation, "order_id": order_id, **columns_of_standing(ledger)}
        session.connection().execute(_INSERT_STANDING, row)
    else:
        this = {"this_generation": generation, "this_order": order_id}
        session.connection().execute(_UPDATE_STANDING, {**this, **columns_of_standing(ledger)})


def _keep_hold(session: Session, order_id: str, authorization: str, hold: Hold, generation: int) -> None:
    if hold.status is HoldStatus.HELD:
        row = {
            "generation": generation,
            "order_id": order_id,
            "authorization": authorization,
            "amount_minor": hold.amount_minor,
            "currency": hold.currency,
            "status": hold.status,
            "refunded_minor": hold.refunded_minor,
        }
        session.connection().execute(_INSERT_HOLD, row)
        return
    this = {"this_generation": generation, "this_order": order_id, "this_authorization": authorization}
    session.connection().execute(_SETTLE_HOLD, {**this, "status": hold.status, "refunded_minor": hold.refunded_minor})
