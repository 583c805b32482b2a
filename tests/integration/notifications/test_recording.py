"""Events of different services in every order, taken straight into a database."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from contracts.events import EventData, OrderConfirmed, OrderPlaced, OrderRejected, PaymentCaptured, PublicEvent
from contracts.sagas import Cause
from services.kernel.database import Database
from services.notifications.recording import record
from services.notifications.sender import Sending
from tests.integration.notifications.conftest import FallibleSender
from tests.support.databases import Databases
from tests.support.eventually import eventually

START = datetime(2026, 1, 1, tzinfo=UTC)


def an_event(service: str, data: EventData, *, version: int = 1, after_s: int = 0) -> PublicEvent:
    return PublicEvent.of(
        service,
        data,
        subject="7",
        time=START + timedelta(seconds=after_s),
        causationid="order-7:a_step/ACommand",
        sagaid="order-7",
        stream="7",
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


async def test_another_fact_when_a_restored_log_gives_its_id_again_is_told(database: Database) -> None:
    take(database, PLACED, CONFIRMED)
    await sent_of(database, count=2)

    take(database, PLACED, REJECTED)

    assert REJECTED.id == CONFIRMED.id
    assert await sent_of(database, count=1) == ["OrderRejected"]
