from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from services.order.app import create_app
from tests.integration.messaging.stage import OrderLog, Subject, Wires
from tests.support.databases import sqlite_database
from tests.support.http_server import served
from tests.support.service_client import Service


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[OrderLog]:
    database_url = sqlite_database(tmp_path, "order")
    async with (
        served(create_app(database_url=database_url, fault_injection=False)) as url,
        httpx.AsyncClient(base_url=url, trust_env=False) as http,
    ):
        log = OrderLog(Service(http), url, database_url)
        yield log
        await log.close()


@pytest.fixture
async def subject(tmp_path: Path, wires: Wires) -> AsyncIterator[Subject]:
    subject = Subject(tmp_path, wires)
    yield subject
    subject.close()
