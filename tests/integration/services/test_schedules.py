"""Whatever arrives, in whatever order and however often: the books agree, and nothing is left over in the end."""

import asyncio
from collections import Counter

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.base import Contract
from tests.integration.services.barrier_behaviour import assert_gateway_agrees
from tests.support.builders import SagaCommands, random_sku
from tests.support.service_client import SagaAt, Service
from tests.support.stock import receive, stock_of

# Each example has a saga of its own; the service under it may be shared.
RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
HEAD_STARTS = st.integers(0, 25)


def scheduled(*names: str) -> st.SearchStrategy[list[tuple[str, int]]]:
    """Commands, each with the turns of the event loop after which it sets off."""
    return st.lists(st.tuples(st.sampled_from(names), HEAD_STARTS), min_size=2, max_size=10)


async def send_all(saga: SagaAt, schedule: list[tuple[Contract, int]]) -> None:
    async def send(command: Contract, head_start: int) -> None:
        for _ in range(head_start):
            await asyncio.sleep(0)
        response = await saga.send(command)
        assert response.status_code in (200, 409), response.text

    await asyncio.gather(*(send(command, head_start) for command, head_start in schedule))


@RELAXED
@given(schedule=scheduled("authorize_payment", "release_payment", "capture_payment", "abandon_capture"))
async def test_payment_when_anything_arrives_in_any_order_then_all_books_agree(
    payment: Service, schedule: list[tuple[str, int]]
) -> None:
    saga = SagaAt(payment, SagaCommands())
    await send_all(saga, [(getattr(saga.commands, name)(), head_start) for name, head_start in schedule])

    fenced = await saga.outcome(saga.commands.abandon_capture())
    released = await saga.outcome(saga.commands.release_payment())

    events = Counter(await saga.events())
    assert max(events.values(), default=1) == 1
    captured = events["PaymentCaptured"] == 1
    assert fenced == ("already_done" if captured else "fenced")
    if captured:
        assert released == "PAYMENT_ALREADY_CAPTURED"
    state = (await payment.stream(saga.order_id))["state"]
    assert state["held_minor"] == 0
    assert state["authorized_minor"] == state["voided_minor"] + state["expired_minor"] + state["captured_minor"]
    await assert_gateway_agrees(payment, saga.order_id)


@RELAXED
@given(schedule=scheduled("book_shipment", "cancel_shipment", "dispatch_shipment"))
async def test_shipping_when_anything_arrives_in_any_order_then_stock_balances(
    shipping: Service, schedule: list[tuple[str, int]]
) -> None:
    sku = random_sku()
    await receive(shipping, 3, sku=sku)
    saga = SagaAt(shipping, SagaCommands())
    made = {
        "book_shipment": saga.commands.book_shipment((sku, 2)),
        "cancel_shipment": saga.commands.cancel_shipment(),
        "dispatch_shipment": saga.commands.dispatch_shipment(),
    }
    await send_all(saga, [(made[name], head_start) for name, head_start in schedule])

    cancelled = await saga.outcome(saga.commands.cancel_shipment())

    stock = await stock_of(shipping, sku)
    dispatched = 2 if cancelled == "SHIPMENT_ALREADY_DISPATCHED" else 0
    assert stock == {"received": 3, "on_hand": 3 - dispatched, "booked": 0, "dispatched": dispatched}
    assert max(Counter(await saga.events()).values(), default=1) == 1
