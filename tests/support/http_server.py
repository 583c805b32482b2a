"""Serves an ASGI app over real HTTP, on a free port, from the test's own event loop."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from tests.support.eventually import eventually

IDLE_S = 60
"""How long a connection may lie idle. A test on a busy machine would else meet one that is just being closed."""


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """The base URL of the app, as long as the context lasts."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=IDLE_S,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server.serve(sockets=[listener]))
    await eventually(lambda: server.started or task.done())
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        if drain := getattr(getattr(app, "state", None), "drain", None):
            drain()
        server.should_exit = True
        await task
        listener.close()
