"""What docs/adding-a-consumer.md shows is run as it stands there, against real services."""

import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import httpx
import pytest

from contracts.events import BATCH_MEDIA_TYPE, LOG_ID_HEADER, POSITION_HEADER
from services.kernel import event_log
from services.kernel.consumer.cursors import cursor_at
from services.kernel.database import Database
from services.kernel.migrating import migrate
from tests.integration.notifications.conftest import SagaInTheWorld, World, client_of
from tests.support.eventually import eventually
from tests.support.stock import receive

PAGE = (Path(__file__).parents[3] / "docs" / "adding-a-consumer.md").read_text()


@pytest.fixture(scope="module")
def back_end() -> str:
    """The page is what is tested here."""
    return "sqlite"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The page's consumer. Its table can be declared only once in a process, so it is imported once."""
    consumer, first_revision = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path_factory.mktemp("shown") / "shown_consumer.py"
    file.write_text(consumer)
    file.with_name("migrations").mkdir()
    (file.with_name("migrations") / "r0001_baseline.py").write_text(first_revision)
    spec = importlib.util.spec_from_file_location("shown_consumer", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["shown_consumer"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["shown_consumer"]


async def dispatch(world: World, sku: str, quantity: int) -> None:
    saga = SagaInTheWorld(world)
    assert await saga.shipping.outcome(saga.commands.book_shipment((sku, quantity))) == "done"
    assert await saga.shipping.outcome(saga.commands.dispatch_shipment()) == "done"


async def test_shown_consumer_when_the_log_is_replaced_counts_every_unit_once(world: World, shown: ModuleType) -> None:
    sku = await receive(world.shipping, 10)
    sales_url = world.databases.url("sales", ())
    with closing(Database(sales_url)) as database:
        migrate(database, shown.SCHEMA)
    app = shown.create_app(database_url=sales_url, feed_urls=world.feed_urls)

    async with client_of(app) as http:

        async def has_sold(quantity: int) -> bool:
            response = await http.get("/sales")
            assert response.json() == {sku: quantity}
            return True

        await dispatch(world, sku, 2)
        await dispatch(world, sku, 3)
        await eventually(lambda: has_sold(5))

        log, mine = Database(world.database_url("shipping")), Database(sales_url)
        with log.writing() as session:
            renewed = event_log.renew_log_id(session)
        await dispatch(world, sku, 1)
        with log.reading() as session:
            head = event_log.log_head(session)

        def is_read_again() -> bool:
            with mine.reading() as session:
                cursor = cursor_at(session, 1, "shipping")
            return (cursor.log_id, cursor.position) == (renewed, head)

        await eventually(is_read_again)
        assert await has_sold(6)
        log.close()
        mine.close()


async def test_shown_request_when_sent_answers_the_events_and_where_to_go_on(world: World) -> None:
    saga = SagaInTheWorld(world)
    await saga.pay()
    (path,) = re.findall(r"curl -i 'http://127\.0\.0\.1:8102(/\S+)'", PAGE)

    response = await world.payment.http.get(path)

    assert response.headers["Content-Type"] == BATCH_MEDIA_TYPE
    assert [event["type"] for event in response.json()] == ["PaymentAuthorized", "PaymentCaptured"]
    assert response.headers[POSITION_HEADER] == str(response.json()[-1]["position"])

    after = {"after": response.headers[POSITION_HEADER], "log_id": response.headers[LOG_ID_HEADER]}
    following = await world.payment.http.get("/events", params=after)

    assert (following.status_code, following.json()) == (httpx.codes.OK, [])
