"""Takes public events into the read model, one at a time, each within the consumer's transaction.

Guarantees:
- The result is the same however the events of different services interleave, as long as each service's come in the
  order of its log (order_view.py says why).
- An event of an unknown type is kept and has no other effect. One that cannot be read, or cannot follow on what came
  before, raises; the consumer's transaction then leaves no trace of it.
"""

from uuid import UUID

from sqlalchemy import insert, select, tuple_
from sqlmodel import Session, SQLModel, delete

from contracts.events import EventData, PublicEvent
from contracts.views import MoneyView, StockView
from services.views.audit_projection import Effect, audit_event
from services.views.facts import LifeFact, PaymentFact, StockFact, fact_of
from services.views.ledgers import book_money, book_stock
from services.views.order_view import Hold, OrderState, evolve
from services.views.rows import MONEY, ORDERS, STOCK, columns_of, money_in, order_in, stock_in
from services.views.tables import VIEW_TABLES

_INSERT_EVENT = insert(SQLModel.metadata.tables["view_events"])


def apply(session: Session, event: PublicEvent, generation: int) -> None:
    """Takes one event into a generation.

    Raises:
        ValidationError: the event does not say what its type promises.
        UnbookableEvent: it cannot follow on what came before.
    """
    fact = fact_of(event)
    hold, stock = None, None
    if isinstance(fact, StockFact):
        stock = _book_stock(session, fact, generation)
    elif isinstance(fact, LifeFact):
        state = _tell_order(session, event, fact, generation)
        if isinstance(fact, PaymentFact):
            hold = state.holds[fact.authorization]
            _book_money(session, hold, generation)
    if fact is not None:
        audit_event(session, Effect(event, fact, hold, stock), generation)
    _keep(session, event, fact, generation)


def forget(session: Session, generation: int, limit: int) -> int:
    """Deletes up to so many rows of a generation; says how many it has deleted."""
    deleted = 0
    for table in VIEW_TABLES:
        key = SQLModel.metadata.tables[str(table.__tablename__)].primary_key.columns
        doomed = select(*key).where(key["generation"] == generation).limit(limit - deleted)
        deleted += session.exec(delete(table).where(tuple_(*key).in_(doomed))).rowcount
    return deleted


def _tell_order(session: Session, event: PublicEvent, fact: LifeFact, generation: int) -> OrderState:
    order_id = str(UUID(event.subject))
    before = ORDERS.read(session, generation, order_id)
    state = evolve(order_in(before) if before else OrderState(), event, fact)
    ORDERS.write(session, generation, order_id, before=before, after=columns_of(state))
    return state


def _book_stock(session: Session, fact: StockFact, generation: int) -> StockView:
    before = STOCK.read(session, generation, fact.sku)
    stock = book_stock(stock_in(before) if before else StockView(sku=fact.sku), fact)
    STOCK.write(session, generation, fact.sku, before=before, after=stock.model_dump())
    return stock


def _book_money(session: Session, hold: Hold, generation: int) -> None:
    before = MONEY.read(session, generation, hold.currency)
    money = book_money(money_in(before) if before else MoneyView(currency=hold.currency), hold)
    MONEY.write(session, generation, hold.currency, before=before, after=money.model_dump())


def _keep(session: Session, event: PublicEvent, fact: EventData | None, generation: int) -> None:
    session.connection().execute(
        _INSERT_EVENT,
        {
            "generation": generation,
            "service": event.service,
            "position": event.position,
            "stream": event.stream,
            "streamversion": event.streamversion,
            "type": event.type,
            "subject": event.subject,
            "sku": fact.sku if isinstance(fact, StockFact) else None,
            "time": event.time,
            "body": event.to_json(),
            "causationid": event.causationid,
        },
    )
