from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.views.app import SERVICES, create_app
from tests.integration.views.site import Site, Views, open_site
from tests.support.service_client import in_memory


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path) as site:
        yield site


@pytest.fixture
async def views(site: Site) -> AsyncIterator[Views]:
    async with site.views() as views:
        yield views


@pytest.fixture
async def lonely_views(tmp_path: Path) -> AsyncIterator[Views]:
    """Views that can reach no service. They answer nevertheless, out of what they have: nothing."""
    nowhere = dict.fromkeys(SERVICES, "http://127.0.0.1:9")
    async with in_memory(create_app(database_url=f"sqlite:///{tmp_path}/views.db", feed_urls=nowhere)) as service:
        yield Views(service.http)
