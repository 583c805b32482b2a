from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import select
from sqlmodel import Session, SQLModel

from contracts.events import PublicEvent
from services.kernel.database import Database
from services.views.projection import apply, forget
from services.views.tables import VIEW_TABLES, OrderRow
from tests.support.databases import create_tables
from tests.support.event_logs import Logs

GENERATION = 3


@contextmanager
def empty_views() -> Iterator[Session]:
    database = Database("sqlite://")
    create_tables(database, VIEW_TABLES)
    with database.writing() as session:
        yield session
    database.close()


def rows_of(session: Session) -> dict[str, list[tuple[Any, ...]]]:
    """The whole read model."""
    session.flush()
    tables = [SQLModel.metadata.tables[str(table.__tablename__)] for table in VIEW_TABLES]
    return {t.name: sorted(map(tuple, session.execute(select(t)).all()), key=repr) for t in tables}


def read_model_of(events: Iterable[PublicEvent]) -> dict[str, list[tuple[Any, ...]]]:
    with empty_views() as session:
        for event in events:
            apply(session, event, GENERATION)
        return rows_of(session)


def some_logs() -> Logs:
    logs = Logs()
    logs.receive("BOOK-1", 10)
    logs.fulfil("BOOK-1")
    logs.compensate("BOOK-1")
    refused = logs.place()
    logs.request(refused, "BOOK-1")
    logs.refuse(refused, "BOOK-1")
    return logs


class TestApply:
    # No deadline: these are a few hundred transactions' work, on a machine that others share.
    @settings(deadline=None, max_examples=50)
    @given(st.data())
    def test_apply_when_services_interleave_in_any_way_then_the_read_model_is_the_same(
        self, data: st.DataObject
    ) -> None:
        logs = some_logs()
        turns = data.draw(st.permutations([event.service for event in logs.all]))
        each = {service: iter(log) for service, log in logs.of.items()}

        interleaved = read_model_of(next(each[service]) for service in turns)

        assert interleaved == read_model_of(logs.all)

    def test_apply_when_the_type_is_unknown_then_the_event_is_kept_and_nothing_else_happens(self) -> None:
        logs = some_logs()
        known = logs.all[-1]
        unknown = known.model_copy(update={"type": "OrderGiftWrapped", "position": 99, "data": {"paper": "red"}})

        before, after = read_model_of(logs.all), read_model_of([*logs.all, unknown])

        assert {**before, "view_events": ()} == {**after, "view_events": ()}
        assert len(after["view_events"]) == len(before["view_events"]) + 1

    def test_apply_when_the_event_is_not_readable_then_it_raises(self) -> None:
        unreadable = some_logs().all[0].model_copy(update={"data": {"sku": "BOOK-1"}})

        with empty_views() as session, pytest.raises(ValidationError):
            apply(session, unreadable, GENERATION)

    def test_apply_when_the_subject_is_no_order_id_then_it_raises(self) -> None:
        placed = some_logs().of["order"][0].model_copy(update={"subject": "7"})

        with empty_views() as session, pytest.raises(ValueError, match="UUID"):
            apply(session, placed, GENERATION)


class TestForget:
    def test_forget_when_called_again_and_again_then_only_that_generation_is_gone(self) -> None:
        logs = some_logs()
        with empty_views() as session:
            for event in logs.all:
                apply(session, event, GENERATION)
                apply(session, event, GENERATION + 1)
            session.flush()

            deleted = list(iter(lambda: forget(session, GENERATION, 5), 0))

            left = rows_of(session)
            assert max(deleted) <= 5
            assert sum(deleted) == sum(len(rows) for rows in left.values())
            assert {row[0] for rows in left.values() for row in rows} == {GENERATION + 1}
            assert len(session.execute(select(OrderRow)).all()) == 3
