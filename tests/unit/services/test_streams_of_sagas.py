"""What a few sagas did to a stream that many share is found without reading all of it."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlmodel import Session

from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.event_log import Origin, Snapshots
from services.kernel.streams import view_sagas
from services.kernel.tables import KERNEL_TABLES
from services.shipping.events import StockBooked, StockReceived
from services.shipping.handlers import STOCK, stock_stream
from tests.support.databases import create_tables

STREAM = stock_stream("BOOK-1")


@pytest.fixture
def session() -> Iterator[Session]:
    """Of a database in which ten orders have booked."""
    database = Database("sqlite://")
    create_tables(database, KERNEL_TABLES)
    with database.writing() as session:
        book(session, 0, StockReceived(100, "delivery-1"))
        for number in range(1, 11):
            book(session, number, StockBooked(f"{number}", number))
        yield session
    database.close()


def book(session: Session, number: int, fact: Any) -> None:
    origin = Origin(f"order-{number}:book_shipment", "BookShipment", f"order-{number}")
    event_log.append(session, STOCK, STREAM, [fact], expected_version=number, origin=origin)


def test_sagas_when_read_then_their_events_in_order_and_the_whole_streams_state(session: Session) -> None:
    view = view_sagas(session, STOCK, STREAM, ["order-7", "order-3"], Snapshots())

    assert [stored.data["order_id"] for stored in view.events] == ["3", "7"]
    assert (view.version, view.state["booked"]) == (11, 55)


def test_sagas_when_read_then_the_state_is_kept_for_the_next_time(session: Session) -> None:
    snapshots = Snapshots()

    view_sagas(session, STOCK, STREAM, ["order-3"], snapshots)

    kept = snapshots.get(STREAM)
    assert kept is not None
    assert kept.version == 11


@pytest.mark.parametrize("sagas", [["order-3"], ["order-3", "order-7", "none"]])
def test_sagas_when_read_then_found_by_their_index(session: Session, sagas: list[str]) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        asked.append((statement, parameters))

    connection: Connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    event_log.read_sagas(session, STREAM, sagas)
    event.remove(connection, "before_cursor_execute", note)

    ((statement, parameters),) = asked
    plan = [str(row.detail) for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    assert plan == ["SEARCH events USING INDEX events_of_saga (stream=? AND saga_id=?)"]
