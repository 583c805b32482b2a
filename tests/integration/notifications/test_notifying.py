"""What customers are told, and when. The services are shared: each test has orders of its own."""

from collections.abc import AsyncIterator

import pytest

from tests.integration.notifications.conftest import (
    FallibleSender,
    Notifications,
    SagaInTheWorld,
    World,
    notifications_of,
    services_on,
)
from tests.support.databases import databases_on
from tests.support.eventually import eventually
from tests.support.stock import receive


@pytest.fixture(scope="module")
async def world(
    back_end: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    server = request.getfixturevalue("postgres_server") if back_end == "postgres" else None
    with databases_on(tmp_path_factory.mktemp("world"), server) as databases:
        async with services_on(databases) as world:
            yield world


@pytest.fixture(scope="module")
def sender() -> FallibleSender:
    return FallibleSender()


@pytest.fixture(scope="module")
async def notifications(world: World, sender: FallibleSender) -> AsyncIterator[Notifications]:
    async with notifications_of(world, sender) as running:
        yield running


class TestNotified:
    async def test_customer_when_an_order_completes_then_told_each_thing_once(
        self, world: World, notifications: Notifications, sender: FallibleSender
    ) -> None:
        saga, sku = SagaInTheWorld(world), await receive(world.shipping, 5)

        await saga.place()
        await saga.pay()
        await saga.shipping.outcome(saga.commands.book_shipment((sku, 2)))
        await saga.order.outcome(saga.commands.confirm_order())
        await saga.shipping.outcome(saga.commands.dispatch_shipment())

        expected = ("OrderPlaced", "PaymentCaptured", "OrderConfirmed", "ShipmentDispatched")
        await eventually(lambda: notifications.all_sent(saga.order_id, *expected))
        assert sorted(sender.sent_about(saga.order_id)) == sorted(expected)
        assert {one.customer_id for one in sender.sent if one.order_id == saga.order_id} == {"cust-1"}

    async def test_customer_when_an_order_is_rejected_then_told_why(
        self, world: World, notifications: Notifications, sender: FallibleSender
    ) -> None:
        saga = SagaInTheWorld(world)

        await saga.place()
        await saga.payment.outcome(saga.commands.authorize_payment())
        await saga.payment.outcome(saga.commands.release_payment())
        await saga.order.outcome(saga.commands.reject_order())

        await eventually(lambda: notifications.all_sent(saga.order_id, "OrderPlaced", "PaymentVoided", "OrderRejected"))
        (rejected,) = [
            one for one in sender.sent if one.event_type == "OrderRejected" and one.order_id == saga.order_id
        ]
        assert rejected.text == f"We cannot fulfil your order {saga.order_id}: a fault on our side kept us from it."

    async def test_payment_when_it_is_heard_of_before_its_order_then_its_notification_waits(
        self, world: World, notifications: Notifications, sender: FallibleSender
    ) -> None:
        saga = SagaInTheWorld(world)

        await saga.pay()

        await eventually(lambda: notifications.types(saga.order_id))
        (waiting,) = await notifications.all(order_id=saga.order_id)
        assert (waiting["event_type"], waiting["customer_id"], waiting["sent_at"]) == ("PaymentCaptured", None, None)

        await saga.place()

        await eventually(lambda: notifications.all_sent(saga.order_id, "OrderPlaced", "PaymentCaptured"))
        assert sender.sent_about(saga.order_id) == ["PaymentCaptured", "OrderPlaced"]

    async def test_tombstone_when_it_is_left_then_notifies_nobody(
        self, world: World, notifications: Notifications, sender: FallibleSender
    ) -> None:
        undone, other = SagaInTheWorld(world), SagaInTheWorld(world)

        outcomes = [
            await undone.shipping.outcome(undone.commands.cancel_shipment()),
            await undone.payment.outcome(undone.commands.release_payment()),
            await undone.order.outcome(undone.commands.reject_order()),
        ]
        await other.place()
        await other.pay()

        assert outcomes == ["nothing_to_undo"] * 3
        await eventually(lambda: notifications.all_sent(other.order_id, "OrderPlaced", "PaymentCaptured"))
        await eventually(notifications.has_caught_up)
        assert await notifications.all(order_id=undone.order_id) == []
        assert sender.sent_about(undone.order_id) == []


class TestRead:
    async def test_notifications_when_read_page_by_page_come_oldest_first(
        self, world: World, notifications: Notifications
    ) -> None:
        orders = []
        for _ in range(5):
            saga = SagaInTheWorld(world)
            await saga.place()
            orders.append(saga.order_id)
        await eventually(notifications.has_caught_up)

        found = await notifications.all(customer_id="cust-1")

        assert [one["order_id"] for one in found][-5:] == orders
        assert await notifications.all(customer_id="cust-2") == []

    async def test_notifications_when_asked_for_with_a_bad_limit_answers_a_problem(
        self, notifications: Notifications
    ) -> None:
        response = await notifications.http.get("/notifications", params={"limit": 0})

        assert (response.status_code, response.json()["code"]) == (422, "MALFORMED_REQUEST")


class TestFailingSender:
    async def test_notifications_when_sending_fails_for_a_while_are_sent_later(
        self, world: World, notifications: Notifications, sender: FallibleSender
    ) -> None:
        sender.failures = 5
        sagas = [SagaInTheWorld(world) for _ in range(2)]

        for saga in sagas:
            await saga.place()

        for saga in sagas:
            await eventually(lambda saga=saga: notifications.all_sent(saga.order_id, "OrderPlaced"))  # type: ignore[misc]
        assert [sender.sent_about(saga.order_id) for saga in sagas] == [["OrderPlaced"]] * 2
        found = [one for saga in sagas for one in await notifications.all(order_id=saga.order_id)]
        assert sum(one["failures"] for one in found) == 5

    async def test_notification_when_it_cannot_be_sent_then_others_are_and_later_ones_of_its_order_wait(
        self, world: World, notifications: Notifications, sender: FallibleSender
    ) -> None:
        refused, other = SagaInTheWorld(world), SagaInTheWorld(world)
        sender.refused_orders = {refused.order_id}

        await refused.place()
        await refused.order.outcome(refused.commands.confirm_order())
        await other.place()

        await eventually(lambda: notifications.all_sent(other.order_id, "OrderPlaced"))
        await eventually(notifications.has_caught_up)
        placed, confirmed = await notifications.all(order_id=refused.order_id)
        assert (placed["sent_at"], confirmed["sent_at"], confirmed["failures"]) == (None, None, 0)

        sender.refused_orders = set()

        await eventually(lambda: notifications.all_sent(refused.order_id, "OrderPlaced", "OrderConfirmed"))
        assert sender.sent_about(refused.order_id) == ["OrderPlaced", "OrderConfirmed"]
