"""The payment process dies between the gateway's act and its own record of it, in the middle of a saga."""

import sqlite3
from collections.abc import AsyncIterator
from typing import NamedTuple

import pytest

from contracts.sagas import CancelState, Cause, SagaStatus, SagaView
from tests.support.eventually import eventually
from tests.support.shop import Shop, open_shop
from tests.support.system import NO_CONSUMERS, System, running_system

pytestmark = pytest.mark.e2e

SLOW_GATEWAY = {
    **NO_CONSUMERS,
    # Time enough to die in, and less than an attempt has.
    "GATEWAY_REPLY_DELAY_S": "1.2",
    "POLICY__FAST_TIMEOUT_S": "2",
    "POLICY__ATTEMPT_TIMEOUT_S": "5",
    # Restarts on a busy machine must not exhaust the attempts.
    "POLICY__ACTION_ATTEMPTS": "60",
}


@pytest.fixture(scope="module")
async def slow_system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """Its gateway answers late, so that there is a moment to die in."""
    async with running_system(tmp_path_factory.mktemp("slow-gateway"), SLOW_GATEWAY) as system:
        yield system


@pytest.fixture
async def slow_shop(slow_system: System) -> AsyncIterator[Shop]:
    async with open_shop(slow_system) as shop:
        yield shop


class Act(NamedTuple):
    """Something that the gateway does for us."""

    at_gateway: str
    """Finds it in the gateway's books."""
    recorded_before: list[str]
    """What our own stream says as long as we have not recorded it."""


AUTHORIZE = Act("SELECT 1 FROM gateway_holds WHERE reference = ? AND state = 'HELD'", [])
CAPTURE = Act("SELECT 1 FROM gateway_captures WHERE reference = ?", ["PaymentAuthorized"])
VOID = Act("SELECT 1 FROM gateway_holds WHERE reference = ? AND state = 'VOIDED'", ["PaymentAuthorized"])

REFUND = Act("SELECT 1 FROM gateway_refunds WHERE reference = ?", ["PaymentAuthorized", "PaymentCaptured"])


async def kill_payment_after(act: Act, system: System, order: SagaView) -> None:
    """Kills it as soon as the gateway has done it, and checks that this was before our own record of it."""
    await eventually(lambda: _select(system, "gateway", act.at_gateway, order), within_s=20, every_s=0.005)
    system.kill("payment")
    recorded = _select(system, "payment", "SELECT type FROM events WHERE stream = ? ORDER BY version", order)
    assert recorded == act.recorded_before


@pytest.mark.parametrize("act", [AUTHORIZE, CAPTURE], ids=["authorize", "capture"])
async def test_order_when_payment_dies_before_recording_is_paid_exactly_once(
    slow_system: System, slow_shop: Shop, act: Act
) -> None:
    order = await slow_shop.order()

    await kill_payment_after(act, slow_system, order)

    await slow_shop.until_clean(order, SagaStatus.COMPLETED)
    assert await slow_shop.money_at_the_gateway(order) == [("captured", order.total_minor)]


async def test_order_when_payment_dies_before_recording_a_void_holds_no_money(
    slow_system: System, slow_shop: Shop
) -> None:
    order = await slow_shop.order(faults=[{"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"}])

    await kill_payment_after(VOID, slow_system, order)

    await slow_shop.until_clean(order, SagaStatus.COMPENSATED)
    assert await slow_shop.money_at_the_gateway(order) == [("voided", order.total_minor)]


async def test_order_when_cancelled_after_payment_died_before_recording_holds_no_money(
    slow_system: System, slow_shop: Shop
) -> None:
    order = await slow_shop.order()
    await kill_payment_after(AUTHORIZE, slow_system, order)

    response = await slow_shop.cancel(order)

    assert response.status_code == 202, response.text
    ended = await slow_shop.until_clean(order, SagaStatus.COMPENSATED)
    assert (ended.cause, ended.cancel) == (Cause.CANCELLED, CancelState.EFFECTIVE)
    assert await slow_shop.money_at_the_gateway(order) == [("voided", order.total_minor)]


async def test_return_when_payment_dies_before_recording_is_paid_back_exactly_once(
    slow_system: System, slow_shop: Shop
) -> None:
    order = await slow_shop.order()
    await slow_shop.until_clean(order, SagaStatus.COMPLETED)
    returned = await slow_shop.give_back(order)

    await kill_payment_after(REFUND, slow_system, order)

    await slow_shop.until_clean(returned, SagaStatus.COMPLETED)
    assert await slow_shop.paid_back_by_the_gateway(order) == [order.total_minor]


def _select(system: System, database: str, query: str, order: SagaView) -> list[str]:
    # Read from the files, because the service that would tell is to die, or dead.
    connection = sqlite3.connect(f"file:{system.data_dir / database}.db?mode=ro", uri=True)
    try:
        return [row[0] for row in connection.execute(query, (str(order.order_id),))]
    finally:
        connection.close()
