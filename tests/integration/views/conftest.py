from collections.abc import AsyncIterator

import pytest

from services.views.app import SERVICES, create_app
from tests.integration.views.site import Site, Views, open_site
from tests.support.databases import Databases
from tests.support.service_client import in_memory


@pytest.fixture
async def site(databases: Databases) -> AsyncIterator[Site]:
    async with open_site(databases) as site:
        yield site


@pytest.fixture
async def views(site: Site) -> AsyncIterator[Views]:
    async with site.views() as views:
        yield views


@pytest.fixture
async def lonely_views(databases: Databases) -> AsyncIterator[Views]:
    """Views that can reach no service. They answer nevertheless, out of what they have: nothing."""
    nowhere = dict.fromkeys(SERVICES, "http://127.0.0.1:9")
    async with in_memory(create_app(database_url=databases.url("views"), feed_urls=nowhere)) as service:
        yield Views(service.http)
