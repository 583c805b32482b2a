"""What the services make of a return's commands: back and forth, twice, and two returns of one order at once."""

import asyncio

import pytest

from contracts.base import Contract
from contracts.faults import Fault, FaultKind
from contracts.wire import ALREADY_COMPENSATED
from tests.integration.services.barrier_behaviour import assert_gateway_agrees
from tests.support.builders import ReturnCommands, SagaCommands
from tests.support.service_client import SagaAt, Service
from tests.support.stock import receive, stock_of

pytestmark = pytest.mark.integration


class Returning(SagaAt):
    """A return saga at one service, of an order that went all the way there."""

    def __init__(self, service: Service, ordered: SagaCommands) -> None:
        self.asks = ReturnCommands(ordered.order_id)
        super().__init__(service, self.asks)


async def done(saga: SagaAt, *commands: Contract) -> SagaCommands:
    for command in commands:
        assert await saga.outcome(command) == "done"
    return saga.commands


@pytest.fixture
async def confirmed(order: Service) -> SagaCommands:
    saga = SagaAt(order)
    return await done(saga, saga.commands.place_order(), saga.commands.confirm_order())


@pytest.fixture
async def captured(payment: Service) -> SagaCommands:
    saga = SagaAt(payment)
    return await done(saga, saga.commands.authorize_payment(), saga.commands.capture_payment())


@pytest.fixture
async def sku(shipping: Service) -> str:
    return await receive(shipping, 10)


@pytest.fixture
async def dispatched(shipping: Service, sku: str) -> SagaCommands:
    saga = SagaAt(shipping)
    return await done(saga, saga.commands.book_shipment((sku, 3)), saga.commands.dispatch_shipment())


class TestOrder:
    async def test_return_when_opened_and_closed_then_once_and_no_other_may_follow(
        self, order: Service, confirmed: SagaCommands
    ) -> None:
        first, second = Returning(order, confirmed), Returning(order, confirmed)
        await done(first, first.asks.open_return(), first.asks.open_return())
        meanwhile = await second.outcome(second.asks.open_return())
        await done(first, first.asks.close_return(), first.asks.close_return())
        third = Returning(order, confirmed)

        assert (meanwhile, await third.outcome(third.asks.open_return())) == ("RETURN_UNDER_WAY", "ALREADY_RETURNED")
        assert await first.events() == ["OrderPlaced", "OrderConfirmed", "ReturnOpened", "OrderReturned"]
        assert await first.outcome(first.asks.withdraw_return()) == "RETURN_ALREADY_CLOSED"

    async def test_return_when_withdrawn_then_another_may_follow(self, order: Service, confirmed: SagaCommands) -> None:
        first, second = Returning(order, confirmed), Returning(order, confirmed)
        await done(first, first.asks.open_return(), first.asks.withdraw_return(), first.asks.withdraw_return())

        assert await second.outcome(second.asks.open_return()) == "done"
        assert await first.outcome(first.asks.open_return()) == ALREADY_COMPENSATED

    async def test_withdraw_when_it_comes_before_its_action_then_that_never_happens(
        self, order: Service, confirmed: SagaCommands
    ) -> None:
        saga = Returning(order, confirmed)

        assert await saga.outcome(saga.asks.withdraw_return()) == "nothing_to_undo"
        assert await saga.outcome(saga.asks.open_return()) == ALREADY_COMPENSATED
        assert await saga.events() == ["OrderPlaced", "OrderConfirmed"]

    async def test_open_when_20_returns_want_it_at_once_then_one_gets_it(
        self, order: Service, confirmed: SagaCommands
    ) -> None:
        sagas = [Returning(order, confirmed) for _ in range(20)]

        outcomes = await asyncio.gather(*(saga.outcome(saga.asks.open_return()) for saga in sagas))

        assert (outcomes.count("done"), outcomes.count("RETURN_UNDER_WAY")) == (1, 19)


class TestShipping:
    async def test_shipment_when_recalled_and_received_then_the_units_are_on_hand_again(
        self, shipping: Service, dispatched: SagaCommands, sku: str
    ) -> None:
        saga = Returning(shipping, dispatched)
        await done(saga, saga.asks.recall_shipment())
        on_its_way = await stock_of(shipping, sku)

        await done(saga, saga.asks.receive_shipment(), saga.asks.receive_shipment())

        assert on_its_way == {"received": 10, "on_hand": 7, "booked": 0, "dispatched": 3}
        assert await stock_of(shipping, sku) == {**on_its_way, "on_hand": 10, "taken_back": 3}
        assert await saga.outcome(saga.asks.cancel_recall()) == "SHIPMENT_ALREADY_RETURNED"
        assert (await shipping.event_types(f"stock-{sku}"))[-1] == "StockTakenBack"

    async def test_recall_when_cancelled_then_the_shipment_stays_dispatched_and_may_be_recalled_again(
        self, shipping: Service, dispatched: SagaCommands, sku: str
    ) -> None:
        first, second = Returning(shipping, dispatched), Returning(shipping, dispatched)
        await done(first, first.asks.recall_shipment())
        meanwhile = await second.outcome(second.asks.recall_shipment())
        await done(first, first.asks.cancel_recall())
        third = Returning(shipping, dispatched)

        assert meanwhile == "RECALL_UNDER_WAY"
        assert (await shipping.stream(first.order_id))["state"]["status"] == "dispatched"
        assert await second.outcome(second.asks.cancel_recall()) == "nothing_to_undo"
        assert await third.outcome(third.asks.recall_shipment()) == "done"
        assert await first.outcome(first.asks.receive_shipment()) == "SHIPMENT_NOT_RECALLED"


class TestPayment:
    async def test_refund_when_sent_again_then_paid_back_once(self, payment: Service, captured: SagaCommands) -> None:
        saga = Returning(payment, captured)

        await done(saga, saga.asks.refund_payment(), saga.asks.refund_payment())

        assert await saga.events() == ["PaymentAuthorized", "PaymentCaptured", "PaymentRefunded"]
        assert (await payment.stream(saga.order_id))["state"]["refunded_minor"] == 2500
        assert await saga.outcome(saga.asks.abandon_refund()) == "already_done"
        await assert_gateway_agrees(payment, saga.order_id)

    async def test_refund_when_20_sagas_want_it_at_once_then_paid_back_once(
        self, payment: Service, captured: SagaCommands
    ) -> None:
        sagas = [Returning(payment, captured) for _ in range(20)]

        outcomes = await asyncio.gather(*(saga.outcome(saga.asks.refund_payment()) for saga in sagas))

        assert (outcomes.count("done"), outcomes.count("ALREADY_REFUNDED")) == (1, 19)
        assert (await sagas[0].events()).count("PaymentRefunded") == 1
        await assert_gateway_agrees(payment, sagas[0].order_id)

    async def test_refund_when_fenced_then_it_never_happens_and_another_sagas_may(
        self, payment: Service, captured: SagaCommands
    ) -> None:
        saga, other = Returning(payment, captured), Returning(payment, captured)

        assert await saga.outcome(saga.asks.abandon_refund()) == "fenced"
        assert await saga.outcome(saga.asks.refund_payment()) == ALREADY_COMPENSATED
        assert await other.outcome(other.asks.refund_payment()) == "done"
        await assert_gateway_agrees(payment, saga.order_id)

    async def test_refund_when_the_card_takes_no_money_back_then_it_is_refused_for_good(self, payment: Service) -> None:
        ordered = SagaAt(payment)
        asks = ordered.commands
        await done(ordered, asks.authorize_payment(token="tok_refund_refused"), asks.capture_payment())
        saga = Returning(payment, asks)

        outcomes = [await saga.outcome(saga.asks.refund_payment()) for _ in range(2)]

        assert outcomes == ["REFUND_REFUSED"] * 2
        assert await saga.outcome(saga.asks.abandon_refund()) == "fenced"
        await assert_gateway_agrees(payment, saga.order_id)

    async def test_refund_when_nothing_is_captured_then_it_is_refused(self, payment: Service) -> None:
        ordered = SagaAt(payment)
        await done(ordered, ordered.commands.authorize_payment())
        saga = Returning(payment, ordered.commands)

        assert await saga.outcome(saga.asks.refund_payment()) == "NOTHING_CAPTURED"

    async def test_refund_when_its_reply_is_lost_then_asking_again_pays_nothing_twice(
        self, payment: Service, captured: SagaCommands
    ) -> None:
        saga = Returning(payment, captured)
        refuse = Fault(step="refund_payment", kind=FaultKind.REFUSE)
        await done(saga, saga.asks.refund_payment())

        assert await saga.outcome(saga.asks.refund_payment(), refuse) == "done"
        await assert_gateway_agrees(payment, saga.order_id)
