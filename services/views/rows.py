"""Takes rows of the read model to what they tell, and back.

Rows are plain columns here. Tracked by the session as objects, each event would take three times as long.
"""

from collections.abc import Mapping
from typing import Any, cast

from pydantic import TypeAdapter
from sqlalchemy import bindparam, insert, select, update
from sqlmodel import Session, SQLModel

from contracts.views import MoneyView, StockView
from services.views.order_view import Hold, OrderState, Placed
from services.views.standing import OrderLedger, standing_of
from services.views.tables import MoneyRow, OrderRow, StockRow

Columns = Mapping[str, Any]

_HOLDS: TypeAdapter[dict[str, Hold]] = TypeAdapter(dict[str, Hold])
_LEDGER: TypeAdapter[OrderLedger] = TypeAdapter(OrderLedger)


class KeyedRows:
    """The rows of one table whose key is the generation and one more column."""

    def __init__(self, table: type[SQLModel], key: str) -> None:
        rows = SQLModel.metadata.tables[str(table.__tablename__)]
        # Named unlike any column: an update takes the columns that it sets from the names of its parameters.
        in_generation = rows.c.generation == bindparam("this_generation")
        this_one = rows.c[key] == bindparam("this_key")
        self._key = key
        self._select = select(rows).where(in_generation, this_one)
        self._select_all = select(rows).where(in_generation).order_by(rows.c[key])
        self._update = update(rows).where(in_generation, this_one)
        self._insert = insert(rows)

    def read(self, session: Session, generation: int, key: str) -> Columns | None:
        this = {"this_generation": generation, "this_key": key}
        return cast(Columns | None, session.connection().execute(self._select, this).mappings().first())

    def read_all(self, session: Session, generation: int) -> list[Columns]:
        rows = session.connection().execute(self._select_all, {"this_generation": generation}).mappings().all()
        return cast(list[Columns], rows)

    def write(self, session: Session, generation: int, key: str, *, before: Columns | None, after: Columns) -> None:
        """Adds the row if there was none before; else sets what has changed, which leaves most indexes alone."""
        if before is None:
            session.connection().execute(self._insert, {"generation": generation, self._key: key, **after})
            return
        changes = {column: value for column, value in after.items() if before[column] != value}
        if changes:
            this = {"this_generation": generation, "this_key": key}
            session.connection().execute(self._update, {**this, **changes})


ORDERS = KeyedRows(OrderRow, "order_id")
STOCK = KeyedRows(StockRow, "sku")
MONEY = KeyedRows(MoneyRow, "currency")


def order_in(row: Columns) -> OrderState:
    placed = None
    if row["placed_at"] is not None:
        placed = Placed(row["saga_id"], row["customer_id"], row["currency"], row["total_minor"], row["placed_at"])
    return OrderState(placed, row["status"], row["cause"], _HOLDS.validate_python(row["holds"]), row["shipment"])


def columns_of(state: OrderState) -> Columns:
    placed = state.placed
    return {
        "saga_id": placed.saga_id if placed else None,
        "customer_id": placed.customer_id if placed else None,
        "currency": placed.currency if placed else None,
        "total_minor": placed.total_minor if placed else None,
        "placed_at": placed.at if placed else None,
        "status": state.status,
        "cause": state.cause,
        "holds": _HOLDS.dump_python(dict(state.holds), mode="json"),
        "shipment": state.shipment,
    }


def ledger_in(ledger: str) -> OrderLedger:
    return _LEDGER.validate_json(ledger)


def columns_of_standing(ledger: OrderLedger) -> Columns:
    latest = ledger.latest
    return {
        "standing": standing_of(ledger),
        "since": latest.at if latest else None,
        "saga_id": latest.saga_id if latest else None,
        "ledger": _LEDGER.dump_json(ledger).decode(),
    }


def stock_in(row: Columns) -> StockView:
    return StockView.model_validate({name: row[name] for name in StockView.model_fields})


def money_in(row: Columns) -> MoneyView:
    return MoneyView.model_validate({name: row[name] for name in MoneyView.model_fields})
