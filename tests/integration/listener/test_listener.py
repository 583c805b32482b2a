"""Awaited events reach their sagas, through whatever dies or is away in between."""

from contextlib import closing
from uuid import uuid4

import pytest

from contracts.orders import Carrier
from contracts.wire import StepOutcome
from messaging.feed import Feed
from messaging.port import Cursor
from services.kernel import event_log
from services.kernel.database import Database
from services.relay.app import create_app as create_relay_app
from tests.integration.listener.stage import Stage, caught_up, progress
from tests.support.eventually import eventually
from tests.support.rabbitmq import RABBITMQ_URL, require_rabbitmq, without_leftovers
from tests.support.service_client import in_memory

pytestmark = pytest.mark.integration

DONE = StepOutcome(step="book_shipment", event="ShipmentBooked")


async def test_booking_when_the_carrier_answers_then_its_saga_is_told(stage: Stage) -> None:
    kept, declined = await stage.waiting_saga(), await stage.waiting_saga()
    async with stage.listening():
        await stage.book(kept)
        await stage.book(declined, country="AQ")

        assert await stage.is_told(kept) == [DONE]
        (refused,) = await stage.is_told(declined)

    assert (refused.event, refused.refusal) == ("ShipmentBookingRefused", "UNDELIVERABLE_ADDRESS")


async def test_booking_when_it_was_done_at_once_then_its_saga_is_told_nothing(stage: Stage) -> None:
    saga = await stage.waiting_saga()
    async with stage.listening() as listener:
        await stage.book(saga, carrier=Carrier.AT_ONCE)
        await caught_up(listener)

    assert await stage.told(saga) == []


async def test_listener_when_it_comes_late_or_again_then_each_saga_is_told_once(stage: Stage) -> None:
    saga = await stage.waiting_saga()
    await stage.book(saga)
    await stage.carrier_answered(saga)

    for _ in range(2):
        async with stage.listening() as listener:
            await stage.is_told(saga)
            await caught_up(listener)

    assert await stage.told(saga) == [DONE]


async def test_saga_when_it_is_over_or_unknown_then_it_holds_up_no_other(stage: Stage) -> None:
    over, saga = await stage.waiting_saga(), await stage.waiting_saga()
    await stage.client.get_workflow_handle(over.saga_id).terminate()
    unknown = type(saga)()
    async with stage.listening() as listener:
        for one in (over, unknown, saga):
            await stage.book(one)
            await stage.carrier_answered(one)

        assert await stage.is_told(saga) == [DONE]
        await caught_up(listener)

    assert await stage.told(over) == []


async def test_temporal_when_it_is_away_then_the_cursor_stays_and_the_saga_is_told_later(stage: Stage) -> None:
    saga = await stage.waiting_saga()
    async with stage.listening() as listener:
        await caught_up(listener)
        await stage.gate.close()
        await stage.book(saga)
        await stage.carrier_answered(saga)
        answer = await position_of_the_answer(stage)

        async def is_held_up() -> bool:
            found = await progress(listener)
            assert (found["status"], found["sources"]["shipping"]["head"]) == ("catching up", answer), found
            return bool(found["sources"]["shipping"]["position"] < answer)

        await eventually(is_held_up)
        assert await stage.told(saga) == []
        await stage.gate.open()

        assert (await stage.is_told(saga))[0] == DONE
        await caught_up(listener)


async def test_listener_when_two_run_then_one_is_at_work_and_the_other_takes_over(stage: Stage) -> None:
    first, second = await stage.waiting_saga(), await stage.waiting_saga()
    async with stage.listening() as at_work:
        await caught_up(at_work)
        async with stage.listening() as standing_by:
            assert (await progress(standing_by))["status"] == "standing by"
            await stage.book(first)
            assert await stage.is_told(first) == [DONE]

    async with stage.listening():
        await stage.book(second)
        assert await stage.is_told(second) == [DONE]


async def test_log_when_it_was_replaced_then_sagas_are_told_again_which_is_harmless(stage: Stage) -> None:
    saga = await stage.waiting_saga()
    async with stage.listening() as listener:
        await stage.book(saga)
        await stage.is_told(saga)
        await caught_up(listener)

        with closing(Database(stage.databases.url("shipping"))) as database, database.writing() as session:
            event_log.renew_log_id(session)

        assert await stage.is_told(saga, times=2) == [DONE, DONE]


@pytest.mark.rabbit
async def test_listener_when_events_come_by_rabbitmq_then_sagas_are_told(stage: Stage) -> None:
    require_rabbitmq()
    exchange = f"amends-test.{uuid4().hex}"
    relay = create_relay_app(
        database_url=stage.databases.url("relay"),
        feed_urls={"shipping": stage.shipping_url},
        rabbitmq_url=RABBITMQ_URL,
        exchange=exchange,
    )
    saga = await stage.waiting_saga()
    async with (
        without_leftovers(exchange, "listener"),
        in_memory(relay),
        stage.listening(rabbitmq_url=RABBITMQ_URL, exchange=exchange),
    ):
        await stage.book(saga)

        assert (await stage.is_told(saga))[0] == DONE


async def position_of_the_answer(stage: Stage) -> int:
    feed = Feed("shipping", stage.shipping_url)
    events = (await feed.read(Cursor(), limit=1000)).events
    await feed.close()
    return max(event.position for event in events if event.type == "ShipmentBooked")
