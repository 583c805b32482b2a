"""Serves one application, the same way for every service and the API."""

import signal
import socket
import sys
from collections.abc import Callable
from typing import NoReturn

import typer
import uvicorn
from fastapi import FastAPI

from run.ports import bind, explain
from run.settings import Settings

_DRAIN_S = 5
"""How long requests that are under way at the end may take."""


def serve(app: FastAPI, settings: Settings, *, name: str, port_setting: str) -> None:
    """Serves until SIGTERM or SIGINT, and says on standard output where, as soon as it answers.

    Raises:
        CannotRun: the port is in use, or may not be used.
    """
    port: int = getattr(settings, port_setting)
    try:
        listening = bind(settings.host, port)
    except OSError as error:
        raise explain(error, settings.host, port, port_setting) from None
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=_DRAIN_S,
    )
    # uvicorn raises the signal that stopped it once more; stopping on request is no failure.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    with listening:
        drain = getattr(app.state, "drain", None)
        _Server(config, drain, f"amends-{name} listening on {settings.url_of(listening.getsockname()[1])}").run(
            [listening]
        )


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, drain: Callable[[], None] | None, announcement: str) -> None:
        super().__init__(config)
        self._drain = drain
        self._announcement = announcement

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            typer.echo(self._announcement)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._drain:
            self._drain()
        await super().shutdown(sockets)


def _leave(_signum: int, _frame: object) -> NoReturn:
    sys.exit(0)
