"""Events of different services in every order, taken straight into a database."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest
from sqlmodel import select

from contracts.events import EventData, OrderConfirmed, OrderPlaced, OrderRejected, PaymentCaptured, PublicEvent
from contracts.sagas import Cause
from services.kernel.database import Database
from services.notifications import sender as sender_module
from services.notifications.recording import record
from services.notifications.sender import Sending
from services.notifications.tables import NotificationRow
from tests.integration.notifications.conftest import FallibleSender
from tests.support.databases import Databases
from tests.support.eventually import eventually

START = datetime(2026, 1, 1, tzinfo=UTC)


def an_event(service: str, data: EventData, *, version: int = 1, after_s: int = 0, order_id: str = "7") -> PublicEvent:
    return PublicEvent.of(
        service,
        data,
        subject=order_id,
        time=START + timedelta(seconds=after_s),
        causationid=f"order-{order_id}:a_step/ACommand",
        sagaid=f"order-{order_id}",
        stream=order_id,
        streamversion=version,
        position=version,
        logid="log-1",
    )


PLACED = an_event("order", OrderPlaced(customer_id="cust-1", currency="EUR", total_minor=2500, lines=()))
CAPTURED = an_event("payment", PaymentCaptured(authorization="order-7:authorize_payment"), after_s=1)
CONFIRMED = an_event("order", OrderConfirmed(), version=2, after_s=2)
REJECTED = an_event("order", OrderRejected(cause=Cause.FAILED), version=2, after_s=2)


@pytest.fixture
def database(databases: Databases) -> Iterator[Database]:
    database = Database(databases.url("notifications"))
    yield database
    database.close()


def take(database: Database, *events: PublicEvent) -> None:
    with database.writing() as session:
        for event in events:
            record(session, event, 1)


def failures_in(database: Database) -> int:
    """How many attempts to send anything have failed."""
    with database.reading() as session:
        return sum(session.exec(select(NotificationRow.failures)).all())


async def sent_of(database: Database, *, count: int, hangs: int = 0) -> list[str]:
    """The types of what is sent, in the order in which it is."""
    sender = FallibleSender(hangs=hangs)
    sending = asyncio.create_task(Sending(database, sender, send_within_s=0.2).run())
    try:
        await eventually(lambda: len(sender.sent) >= count)
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
    return [notification.event_type for notification in sender.sent]


@pytest.mark.parametrize("order", list(permutations((PLACED, CAPTURED, CONFIRMED))))
async def test_events_when_taken_in_any_order_are_told_in_the_order_of_their_times(
    database: Database, order: tuple[PublicEvent, ...]
) -> None:
    take(database, *order)

    assert await sent_of(database, count=3) == ["OrderPlaced", "PaymentCaptured", "OrderConfirmed"]


async def test_events_when_taken_again_add_nothing(database: Database) -> None:
    take(database, PLACED, CAPTURED)
    before = await sent_of(database, count=2)

    take(database, PLACED, CAPTURED)
    take(database, CONFIRMED)

    assert before == ["OrderPlaced", "PaymentCaptured"]
    assert await sent_of(database, count=1) == ["OrderConfirmed"]


async def test_sender_when_it_hangs_is_given_up_and_tried_again(database: Database) -> None:
    take(database, PLACED, CONFIRMED)

    assert await sent_of(database, count=2, hangs=1) == ["OrderPlaced", "OrderConfirmed"]


async def test_event_when_taken_while_sending_pauses_goes_before_later_ones(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender_module, "FIRST_PAUSE_S", 1.0)
    take(database, PLACED)
    await sent_of(database, count=1)
    other = an_event("order", OrderPlaced(customer_id="cust-2", currency="EUR", total_minor=1, lines=()), order_id="6")
    take(database, other, CONFIRMED)
    sender = FallibleSender(failures=1)
    async with asyncio.TaskGroup() as group:
        sending = group.create_task(Sending(database, sender).run())
        await eventually(lambda: failures_in(database) == 1)

        take(database, CAPTURED)

        await eventually(lambda: len(sender.sent) == 3)
        sending.cancel()
    assert sender.sent_about("7") == ["PaymentCaptured", "OrderConfirmed"]


async def test_another_fact_when_a_restored_log_gives_its_id_again_is_told(database: Database) -> None:
    take(database, PLACED, CONFIRMED)
    await sent_of(database, count=2)

    take(database, PLACED, REJECTED)

    assert REJECTED.id == CONFIRMED.id
    assert await sent_of(database, count=1) == ["OrderRejected"]
