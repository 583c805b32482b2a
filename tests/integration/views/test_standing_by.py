"""Two processes of the views: one is at work, the other serves what is there and takes over when it is wanted."""

from contextlib import AsyncExitStack

import httpx
import pytest

from tests.integration.views.site import Site, Views
from tests.support.stock import receive

pytestmark = pytest.mark.integration


async def test_second_process_when_one_is_at_work_stands_by_and_serves(site: Site) -> None:
    async with site.views() as active, site.views() as standby:
        order = await site.place()
        await active.caught_up()

        assert await _status(standby) == "standing by"
        assert (await standby.order(order.order_id)).order_id == order.order_id


async def test_operators_request_when_sent_to_who_stands_by_is_to_be_sent_again(site: Site) -> None:
    async with site.views() as active, site.views() as standby:
        for method, path in [("POST", "/rebuild"), ("GET", "/dead-letters"), ("POST", "/dead-letters/replay")]:
            response = await standby.http.request(method, path)
            assert (response.status_code, response.json()["code"]) == (503, "STANDING_BY")
            assert int(response.headers["Retry-After"]) > 0
            assert (await active.http.request(method, path)).is_success


async def test_second_process_when_the_first_ends_goes_on_where_it_was(site: Site) -> None:
    sku = await receive(site.shipping, 10)
    async with AsyncExitStack() as later, AsyncExitStack() as first:
        active = await first.enter_async_context(site.views())
        standby = await later.enter_async_context(site.views())
        await site.fulfil(sku)
        await active.caught_up()
        await active.http.post("/rebuild")
        await active.caught_up(generation=2)
        await first.aclose()

        await site.compensate(sku)

        # Of the rebuild, too, it knows from the database alone.
        await standby.caught_up(generation=2)
        assert site.read_model(2) == await site.read_model_of_logs()


async def _status(views: Views) -> str:
    response: httpx.Response = await views.http.get("/health/ready")
    return str(response.json()["status"])
