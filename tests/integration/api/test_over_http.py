"""What only a real server and real connections can show."""

from collections.abc import AsyncIterator

import httpx
import pytest

from api.app import create_app
from contracts.wire import PROBLEM_MEDIA_TYPE
from tests.integration.api.bench import ApiBench, settings_for
from tests.support.http_server import served

pytestmark = pytest.mark.integration

BLOCK = b" " * 2**16
MUCH = 512
"""Blocks: more than the buffers between two sockets hold, so that a caller is still sending when the answer comes."""


@pytest.fixture
async def over_http(api: ApiBench) -> AsyncIterator[httpx.AsyncClient]:
    """A client that has one connection to the API, on a real server."""
    app = create_app(settings=settings_for(api.environment), transport=api.paper.transport())
    async with served(app) as url:
        limits = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=30, trust_env=False) as http:
            yield http


async def blocks() -> AsyncIterator[bytes]:
    for _ in range(MUCH):
        yield BLOCK


@pytest.mark.parametrize("length", [{"Content-Length": str(MUCH * len(BLOCK))}, {}], ids=["declared", "chunked"])
async def test_body_when_too_large_then_its_sender_gets_the_answer(
    over_http: httpx.AsyncClient, length: dict[str, str]
) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "large-1", **length}

    response = await over_http.post("/orders", content=blocks(), headers=headers)
    next_one = await over_http.get("/health/live")

    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert response.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
    assert response.headers["Idempotency-Key"] == "large-1"
    assert next_one.is_success
