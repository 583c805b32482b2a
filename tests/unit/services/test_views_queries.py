from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlmodel import Session

from contracts.sagas import Cause
from contracts.views import OrderQuery, OrderStatus
from services.kernel.consumer.generations import FIRST
from services.kernel.consumer.tables import CONSUMER_TABLES
from services.kernel.database import Database
from services.kernel.errors import MalformedRequest
from services.views.ledger_queries import read_stock
from services.views.order_queries import list_orders, read_order
from services.views.projection import apply
from services.views.tables import VIEW_TABLES
from tests.support.databases import create_tables
from tests.support.event_logs import EPOCH, Logs

FILTERS: dict[str, Any] = {
    "status": OrderStatus.REJECTED,
    "cause": Cause.FAILED,
    "customer": "cust-1",
    "from": EPOCH,
    "to": EPOCH + timedelta(days=1),
}
COMBINATIONS = [
    {name: value for (name, value), given in zip(FILTERS.items(), which, strict=True) if given}
    for which in product([False, True], repeat=len(FILTERS))
]
INDEXES = {
    (): "view_orders_all",
    ("status",): "view_orders_by_status",
    ("cause",): "view_orders_by_cause",
    ("status", "cause"): "view_orders_by_cause",
    ("customer",): "view_orders_by_customer",
    ("status", "customer"): "view_orders_by_customer_status",
    ("cause", "customer"): "view_orders_by_customer_cause",
    ("status", "cause", "customer"): "view_orders_by_customer_cause",
}


@pytest.fixture
def session() -> Iterator[Session]:
    database = Database("sqlite://")
    create_tables(database, (*CONSUMER_TABLES, *VIEW_TABLES))
    with database.writing() as session:
        yield session
    database.close()


def project(session: Session, logs: Logs) -> None:
    for happened in logs.all:
        apply(session, happened, FIRST)
    session.flush()


def listed(session: Session, **query: Any) -> list[str]:
    page = list_orders(session, OrderQuery.model_validate(query))
    return [str(order.order_id) for order in page.orders]


def explain(session: Session, query: OrderQuery) -> list[str]:
    """How the database goes about what a list reads."""
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    connection: Connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    list_orders(session, query)
    event.remove(connection, "before_cursor_execute", note)
    return [
        str(row.detail)
        for statement, parameters in asked
        if "FROM view_" in statement
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
    ]


class TestList:
    @pytest.mark.parametrize("after", [False, True], ids=["first page", "later page"])
    @pytest.mark.parametrize("filters", COMBINATIONS, ids=lambda filters: "+".join(filters) or "none")
    def test_list_when_filtered_in_any_way_then_it_searches_one_index_and_sorts_nothing(
        self, session: Session, filters: dict[str, Any], after: bool
    ) -> None:
        logs = Logs()
        for _ in range(3):
            logs.compensate("BOOK-1")
        project(session, logs)
        query = OrderQuery.model_validate({**filters, "limit": 1})
        if after:
            query = query.model_copy(update={"after": list_orders(session, query).next})

        plan = explain(session, query)

        index = INDEXES[tuple(name for name in ("status", "cause", "customer") if name in filters)]
        assert plan[0].startswith(f"SEARCH view_orders USING INDEX {index} (generation=?"), plan
        assert all(step.startswith("SEARCH") for step in plan), plan
        assert len(plan) == 2, "one search for the orders, one for all their transitions"

    def test_list_when_orders_share_a_moment_then_pages_hold_each_once(self, session: Session) -> None:
        logs = Logs()
        placed = []
        for _ in range(10):
            logs.now = EPOCH
            placed.append(logs.place())
        project(session, logs)

        found: list[str] = []
        query = OrderQuery(limit=3)
        while True:
            page = list_orders(session, query)
            found += [str(order.order_id) for order in page.orders]
            if page.next is None:
                break
            query = query.model_copy(update={"after": page.next})

        assert found == sorted(placed, reverse=True)

    def test_list_when_an_order_is_not_known_to_be_placed_then_it_is_left_out(self, session: Session) -> None:
        logs = Logs()
        order_id = logs.place()
        logs.authorize(order_id)
        apply(session, logs.of["payment"][0], FIRST)
        session.flush()

        before = listed(session)
        apply(session, logs.of["order"][0], FIRST)
        session.flush()

        assert (before, listed(session)) == ([], [order_id])

    def test_list_when_a_cause_is_asked_of_confirmed_orders_then_there_is_none(self, session: Session) -> None:
        logs = Logs()
        logs.compensate("BOOK-1")
        project(session, logs)

        assert len(listed(session, cause="failed", status="rejected")) == 1
        assert listed(session, cause="failed", status="confirmed") == []

    def test_list_when_of_a_time_then_from_is_within_and_to_is_not(self, session: Session) -> None:
        logs = Logs()
        first, second, _ = logs.place(), logs.place(), logs.place()
        project(session, logs)

        found = listed(session, **{"from": EPOCH + timedelta(seconds=1), "to": EPOCH + timedelta(seconds=3)})

        assert found == [second, first]

    @pytest.mark.parametrize("name", ["from", "to"])
    @pytest.mark.parametrize("moment", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00"])
    def test_list_when_a_moment_is_naive_or_out_of_the_calendar_then_it_is_malformed(
        self, session: Session, name: str, moment: str
    ) -> None:
        with pytest.raises(MalformedRequest):
            listed(session, **{name: moment})


class TestTimeTravel:
    def test_read_order_when_replayed_up_to_now_then_it_is_the_view_of_now(self, session: Session) -> None:
        logs = Logs()
        orders = [logs.fulfil("BOOK-1"), logs.compensate("BOOK-1"), logs.place()]
        project(session, logs)

        page = list_orders(session, OrderQuery())

        for view, order_id in zip(page.orders, reversed(orders), strict=True):
            assert str(view.order_id) == order_id
            assert read_order(session, view.order_id, None) == view
            assert read_order(session, view.order_id, logs.now) == view

    def test_read_stock_when_replayed_up_to_now_then_it_is_the_stock_of_now(self, session: Session) -> None:
        logs = Logs()
        logs.receive("BOOK-1", 10)
        logs.fulfil("BOOK-1")
        logs.compensate("BOOK-1")
        project(session, logs)

        now = read_stock(session, "BOOK-1", None)

        assert read_stock(session, "BOOK-1", logs.now) == now
        assert (now.received, now.on_hand, now.booked, now.dispatched, now.returned) == (10, 8, 0, 2, 2)
        assert read_stock(session, "BOOK-1", EPOCH + timedelta(seconds=1)).on_hand == 10
