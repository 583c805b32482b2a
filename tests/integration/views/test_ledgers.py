"""Stock by SKU and money by currency, against what the services themselves say."""

import pytest

from contracts.views import MoneyView
from tests.integration.views.site import Site, Views, moment_after
from tests.support.stock import receive, stock_of

pytestmark = pytest.mark.integration


async def test_stock_when_orders_move_it_then_the_ledger_is_what_shipping_says(site: Site, views: Views) -> None:
    skus = [await receive(site.shipping, 10) for _ in range(2)]
    for sku in skus:
        await site.fulfil(sku)
        await site.compensate(sku)
        await site.book(await site.place(), sku)
    await views.caught_up()

    ledger = {stock["sku"]: stock for stock in await views.get("/stock")}

    assert set(ledger) == set(skus)
    for sku in skus:
        stock = await views.stock(sku)
        assert stock.model_dump() == ledger[sku]
        assert stock.model_dump(exclude={"sku", "returned", "taken_back"}) == await stock_of(site.shipping, sku)
        assert (stock.on_hand, stock.booked, stock.dispatched, stock.returned) == (6, 2, 2, 2)


async def test_money_when_payments_end_in_each_way_then_the_ledger_is_what_payment_says(
    site: Site, views: Views
) -> None:
    sku = await receive(site.shipping, 10)
    sagas = [await site.fulfil(sku), await site.compensate(sku), await site.place(), await site.place()]
    await site.book(sagas[2], sku)
    expiring = sagas[3].authorize_payment(token="tok_expires_before_capture")
    await site.send(sagas[3], site.payment, expiring)
    capture = sagas[3].capture_payment()
    assert (await site.payment.send(capture, key=sagas[3].key_of(capture))).status_code == 409
    await views.caught_up()

    money = (await views.money())["EUR"]

    states = [(await site.payment.stream(saga.order_id))["state"] for saga in sagas]
    sums = {name: sum(state[name] for state in states) for name in MoneyView.model_fields if name != "currency"}
    assert money.model_dump(exclude={"currency"}) == sums
    assert (money.captured_minor, money.voided_minor, money.expired_minor, money.held_minor) == (2500,) * 4


async def test_stock_when_unknown_then_404(lonely_views: Views) -> None:
    response = await lonely_views.http.get("/stock/NEVER-SEEN")

    assert (response.status_code, response.json()["code"]) == (404, "SKU_NOT_FOUND")


async def test_stock_when_read_as_of_the_past_then_it_was_so(site: Site, views: Views) -> None:
    earlier = await site.place()
    sku = await receive(site.shipping, 10)
    saga = await site.fulfil(sku)
    await views.caught_up()
    before_all = (await views.order(earlier.order_id)).placed_at.isoformat()
    events = {event.type: event.time.isoformat() for event in (await views.events(saga.order_id)).events}
    placed_at = moment_after(await views.order(saga.order_id), "OrderPlaced").isoformat()

    past = [await views.stock(sku, at=at) for at in (placed_at, events["StockBooked"], events["StockDispatched"])]

    assert [(stock.on_hand, stock.booked, stock.dispatched) for stock in past] == [(10, 0, 0), (8, 2, 0), (8, 0, 2)]
    assert past[-1] == await views.stock(sku)
    assert (await views.http.get(f"/stock/{sku}", params={"at": before_all})).status_code == 404
