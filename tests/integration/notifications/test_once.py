"""Whatever happens to the process or to a log: nothing is lost, and nobody is notified twice."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from messaging.port import Cursor
from services.kernel import event_log
from services.kernel.consumer.cursors import cursor_at
from services.kernel.database import Database
from tests.integration.notifications.conftest import (
    FallibleSender,
    Notifications,
    SagaInTheWorld,
    World,
    notifications_of,
)
from tests.support.eventually import eventually
from tests.support.service_process import RunningService, service_process

ORDERS = 20


def _process(world: World) -> AbstractAsyncContextManager[RunningService]:
    return service_process("notifications", database_url=world.database_url("notifications"), feed_urls=world.feed_urls)


@pytest.mark.integration
async def test_process_when_killed_and_started_again_then_nothing_is_lost_or_doubled(world: World) -> None:
    sagas = [SagaInTheWorld(world) for _ in range(ORDERS)]

    async def trade() -> None:
        for saga in sagas:
            await saga.place()
            await saga.pay()

    async with _process(world) as running:
        trading = asyncio.create_task(trade())
        await eventually(Notifications(running.service.http).all, within_s=30)
        await running.kill()
    await trading

    async with _process(world) as running:
        notifications = Notifications(running.service.http)
        for saga in sagas:
            await eventually(
                lambda saga=saga: notifications.all_sent(saga.order_id, "OrderPlaced", "PaymentCaptured"),  # type: ignore[misc]
                within_s=30,
            )


async def test_log_when_replaced_then_read_again_and_nobody_is_notified_twice(
    world: World, notifications: Notifications, sender: FallibleSender
) -> None:
    saga, later = SagaInTheWorld(world), SagaInTheWorld(world)
    await saga.place()
    await saga.pay()
    await eventually(lambda: notifications.all_sent(saga.order_id, "OrderPlaced", "PaymentCaptured"))

    orders, mine = Database(world.database_url("order")), Database(world.database_url("notifications"))
    with orders.writing() as session:
        renewed = event_log.renew_log_id(session)
        end = event_log.log_head(session)

    def is_read_again() -> bool:
        with mine.reading() as session:
            return cursor_at(session, 1, "order") == Cursor(renewed, end)

    await eventually(is_read_again)
    await later.place()
    await eventually(lambda: notifications.all_sent(later.order_id, "OrderPlaced"))
    assert await notifications.all_sent(saga.order_id, "OrderPlaced", "PaymentCaptured")
    assert len(sender.sent) == 3
    orders.close()
    mine.close()


async def test_notifications_when_stopped_before_all_are_sent_then_sent_after_the_next_start(
    world: World, sender: FallibleSender
) -> None:
    saga = SagaInTheWorld(world)
    refusing = FallibleSender(refused_orders={saga.order_id})
    async with notifications_of(world, refusing) as notifications:
        await saga.place()
        await eventually(lambda: notifications.types(saga.order_id))

    async with notifications_of(world, sender) as notifications:
        await eventually(lambda: notifications.all_sent(saga.order_id, "OrderPlaced"))

    assert (refusing.sent, sender.sent_about(saga.order_id)) == ([], ["OrderPlaced"])
