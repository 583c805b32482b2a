"""The read model is built anew while the old one serves."""

import asyncio
from contextlib import closing

import pytest

from services.kernel.event_log import renew_log_id
from services.views.app import create_app
from tests.integration.views.site import Site, Views
from tests.support.builders import SagaCommands
from tests.support.eventually import eventually
from tests.support.service_client import in_memory
from tests.support.stock import receive

pytestmark = pytest.mark.integration


def generations_with_rows(site: Site) -> set[int]:
    tables = ("view_orders", "view_stock", "view_money", "view_events", "cursors", "generations")
    return {row[0] for table in tables for row in site.look(f"SELECT DISTINCT generation FROM {table}")}


async def test_rebuild_when_nothing_else_happens_then_every_row_is_as_before(site: Site, views: Views) -> None:
    sku = await receive(site.shipping, 20)
    for _ in range(3):
        await site.fulfil(sku)
        await site.compensate(sku)
    await site.place()
    await views.caught_up()
    before = site.read_model(1)

    response = await views.http.post("/rebuild")

    assert response.status_code == 202
    await views.caught_up(generation=2)
    assert site.read_model(2) == before
    await eventually(lambda: generations_with_rows(site) == {2})


async def test_rebuild_when_orders_arrive_meanwhile_then_the_old_model_serves_and_the_new_one_has_them(
    site: Site, views: Views
) -> None:
    sku = await receive(site.shipping, 1000)
    first = await site.fulfil(sku)
    site.place_many(700)
    await views.caught_up()
    during: list[SagaCommands] = []

    assert (await views.http.post("/rebuild")).status_code == 202
    while (await views.get("/health/ready"))["generation"] == 1:
        saga = await site.fulfil(sku)
        during.append(saga)
        assert (await views.order(first.order_id)).status == "confirmed"
        # Also while it builds the next one, the old model goes on taking what happens.
        await eventually(lambda saga=saga: _is_confirmed(views, saga))  # type: ignore[misc]

    assert during
    await views.caught_up(generation=2)
    assert site.read_model(2) == await site.read_model_of_logs()
    assert {str(saga.order_id) for saga in during} <= {row[0] for row in site.read_model(2)["view_orders"]}
    await eventually(lambda: generations_with_rows(site) == {2}, within_s=30)


async def test_rebuild_when_asked_for_twice_then_it_is_done_once(site: Site, views: Views) -> None:
    site.place_many(300)
    await views.caught_up()

    await asyncio.gather(*(views.http.post("/rebuild") for _ in range(2)))

    await views.caught_up(generation=2)
    await eventually(lambda: generations_with_rows(site) == {2})


async def test_views_when_a_log_was_replaced_then_they_are_built_anew_by_themselves(site: Site, views: Views) -> None:
    sku = await receive(site.shipping, 20)
    await site.fulfil(sku)
    await site.compensate(sku)
    await views.caught_up()

    with closing(site.database_of("order")) as database, database.writing() as session:
        renew_log_id(session)

    await views.caught_up(generation=2)
    assert site.read_model(2) == await site.read_model_of_logs()
    saga = await site.fulfil(sku)
    await views.caught_up(generation=2)
    assert (await views.order(saga.order_id)).status == "confirmed"


async def _is_confirmed(views: Views, saga: SagaCommands) -> bool:
    response = await views.http.get(f"/views/orders/{saga.order_id}")
    return response.is_success and response.json()["status"] == "confirmed"


async def test_rebuild_when_it_fails_then_health_says_so_and_the_old_model_serves(site: Site, views: Views) -> None:
    saga = await site.place()
    await views.caught_up()
    site.sabotage.refuse("generations")

    assert (await views.http.post("/rebuild")).status_code == 202
    await eventually(lambda: _fails_to_rebuild(views))
    assert (await views.order(saga.order_id)).status == "pending"

    site.sabotage.end()
    assert (await views.http.post("/rebuild")).status_code == 202
    await views.caught_up(generation=2)
    assert (await views.get("/health/ready"))["failure"] is None


async def test_views_when_a_rebuild_has_failed_then_they_end_in_order(site: Site) -> None:
    # In memory, because a server would keep to itself what goes wrong at its end.
    async with in_memory(create_app(database_url=site.views_url, feed_urls=site.feed_urls)) as service:
        views = Views(service.http)
        site.sabotage.refuse("generations")
        assert (await views.http.post("/rebuild")).status_code == 202
        await eventually(lambda: _fails_to_rebuild(views))
    site.sabotage.end()

    async with site.views() as views:
        await views.caught_up(generation=1)


async def _fails_to_rebuild(views: Views) -> bool:
    health = await views.get("/health/ready")
    return health["status"] == "failing" and "the rebuild failed: IntegrityError" in health["failure"]
