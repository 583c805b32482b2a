"""The ledgers' part of an audit of everything, on logs as services write them: any legal history is clean."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from hypothesis import given, settings
from hypothesis import strategies as st
from sqlmodel import Session

from contracts.audits import LedgerAudit
from contracts.events import PublicEvent
from services.kernel.database import Database
from services.views.audit_queries import LogEnd, audit_ledgers, list_open
from services.views.projection import apply
from services.views.tables import VIEW_SCHEMA
from tests.support.databases import create_tables
from tests.support.public_logs import COMPLETE, ENDINGS, SagaLog, a_saga, is_at_rest, stocked


@contextmanager
def empty_views() -> Iterator[Session]:
    database = Database("sqlite://")
    create_tables(database, VIEW_SCHEMA.tables)
    with database.writing() as session:
        yield session
    database.close()


def taken(session: Session, events: Iterable[PublicEvent]) -> LedgerAudit:
    for event in events:
        apply(session, event, 1)
    return audit_ledgers(session, {service: LogEnd(0) for service in ("order", "payment", "shipping")})


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[PublicEvent], list[tuple[str, bool]]]:
    """What some sagas do at once, each of them perhaps not to its end; and how each of them ends, if it does."""
    logs = stocked()
    sagas: list[tuple[SagaLog, list[str]]] = []
    ends = []
    for _ in range(draw(st.integers(1, 6))):
        name = draw(st.sampled_from(sorted(ENDINGS)))
        ending = ENDINGS[name]
        done = draw(st.integers(1, len(ending)))
        sagas.append((a_saga(logs), list(ending[:done])))
        ends.append((name, is_at_rest(ending, done)))
    while waiting := [(saga, acts) for saga, acts in sagas if acts]:
        saga, acts = waiting[draw(st.integers(0, len(waiting) - 1))]
        saga.does(acts.pop(0))
    return logs.events, ends


# No deadline: each example is some dozens of transactions' work, on a machine that others share.
@settings(deadline=None, max_examples=60)
@given(histories())
def test_any_legal_history_when_audited_is_clean(history: tuple[list[PublicEvent], list[tuple[str, bool]]]) -> None:
    events, ends = history

    with empty_views() as session:
        audit = taken(session, events)
        opened = list_open(session, None, 100)

    assert audit.findings == ()
    completed = sum(ended for name, ended in ends if name in COMPLETE)
    assert audit.completed == completed
    # Some that turn back are as they must be at their end before their sagas have come to it.
    assert audit.compensated >= sum(ended for name, ended in ends if name not in COMPLETE)
    assert audit.completed + audit.compensated + audit.open == len(ends)
    assert len(opened.orders) == audit.open
    assert all(order.amiss for order in opened.orders)


@settings(deadline=None, max_examples=20)
@given(st.data())
def test_audit_when_services_interleave_in_any_way_is_the_same(data: st.DataObject) -> None:
    logs = stocked()
    for ending in ENDINGS.values():
        a_saga(logs).does(*ending[: data.draw(st.integers(1, len(ending)))])
    wrong = a_saga(logs).complete()
    wrong.reject()
    wrong.dispatch()
    turns = data.draw(st.permutations([event.service for event in logs.events]))
    each = {service: iter(logs.of(service)) for service in logs.heads}

    with empty_views() as session:
        expected = taken(session, logs.events)
    with empty_views() as session:
        interleaved = taken(session, [next(each[service]) for service in turns])

    # How far each log was taken, and what broke at which event: all of it is the same in the end.
    assert interleaved.findings == expected.findings != ()
    assert interleaved == expected
