"""Calls from the command line to one of several processes."""

import asyncio

import pytest
from fastapi import FastAPI
from starlette.responses import JSONResponse

from contracts.wire import STANDING_BY
from run.caller import Caller
from run.errors import CannotRun
from tests.support.http_server import served

pytestmark = pytest.mark.integration


def processes(standing_by: int) -> FastAPI:
    """As a load balancer in front of several: so many that stand by come first."""
    app, turns = FastAPI(), iter(range(standing_by))

    @app.post("/rebuild")
    def rebuild() -> JSONResponse:
        if next(turns, None) is None:
            return JSONResponse({"rebuilding": True})
        return JSONResponse({"code": STANDING_BY, "title": "x", "detail": "ask again", "status": 503}, 503)

    return app


def ask(url: str) -> int:
    with Caller(url, setting="views_url") as caller:
        return caller.post("/rebuild").status_code


async def test_request_when_it_meets_processes_that_stand_by_is_sent_again() -> None:
    async with served(processes(standing_by=3)) as url:
        assert await asyncio.to_thread(ask, url) == 200


async def test_request_when_all_stand_by_says_so_after_a_while() -> None:
    async with served(processes(standing_by=1000)) as url:
        with pytest.raises(CannotRun, match="STANDING_BY: ask again"):
            await asyncio.to_thread(ask, url)
