"""Reads the books, within a reading transaction of whoever calls. Everything is of the generation that serves."""

from collections.abc import Iterator
from datetime import datetime
from itertools import takewhile

from sqlmodel import Session, col, select

from contracts.events import PublicEvent
from contracts.views import MoneyView, StockView
from services.kernel.consumer.generations import active_generation
from services.kernel.errors import NotFound
from services.views.facts import StockFact, fact_of
from services.views.ledgers import fold_stock
from services.views.rows import MONEY, STOCK, money_in, stock_in
from services.views.tables import ViewedEventRow


def list_stock(session: Session) -> list[StockView]:
    return [stock_in(row) for row in STOCK.read_all(session, active_generation(session))]


def list_money(session: Session) -> list[MoneyView]:
    return [money_in(row) for row in MONEY.read_all(session, active_generation(session))]


def read_stock(session: Session, sku: str, at: datetime | None) -> StockView:
    """The stock of one SKU now; or as of a moment, replayed from the events up to it.

    Raises:
        NotFound: nothing was ever heard of it, or not yet.
    """
    generation = active_generation(session)
    stock = _stock_now(session, generation, sku) if at is None else _stock_at(session, generation, sku, at)
    if stock is None:
        raise NotFound("SKU_NOT_FOUND", f"there is no SKU {sku}" + (f" at {at.isoformat()}" if at else ""))
    return stock


def _stock_now(session: Session, generation: int, sku: str) -> StockView | None:
    row = STOCK.read(session, generation, sku)
    return stock_in(row) if row else None


def _stock_at(session: Session, generation: int, sku: str, at: datetime) -> StockView | None:
    facts = list(_facts_until(session, generation, sku, at))
    return fold_stock(sku, facts) if facts else None


def _facts_until(session: Session, generation: int, sku: str, at: datetime) -> Iterator[StockFact]:
    rows = session.exec(
        select(ViewedEventRow.time, ViewedEventRow.body)
        .where(col(ViewedEventRow.generation) == generation, col(ViewedEventRow.sku) == sku)
        .order_by(col(ViewedEventRow.position))
    )
    # All in one log, which decides what came before that moment, as in `causal_order`.
    for _, body in takewhile(lambda row: row[0] <= at, rows):
        fact = fact_of(PublicEvent.model_validate_json(body))
        if isinstance(fact, StockFact):
            yield fact
