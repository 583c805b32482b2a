"""A service as a real process, to be killed by tests. It listens on a socket that the test has bound."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn

from run.logs import configure_logs
from tests.support.eventually import eventually
from tests.support.forking import PROCESSES
from tests.support.http_server import IDLE_S
from tests.support.service_client import Service


@dataclass(frozen=True)
class RunningService:
    service: Service
    process: ForkServerProcess
    log: Path

    async def kill(self) -> str:
        """With SIGKILL: it gets no chance to tidy up. Answers what it had logged to standard error."""
        self.process.kill()
        await asyncio.to_thread(self.process.join)
        return self.log.read_text()


@asynccontextmanager
async def service_process(name: str, **arguments: Any) -> AsyncIterator[RunningService]:
    """`services.<name>.app.create_app(**arguments)`, served until the end of the context or until it is killed."""
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            process = PROCESSES.Process(target=_serve, args=(name, listener, log, arguments), daemon=True)
            process.start()
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                running = RunningService(Service(http), process, log)
                await eventually(lambda: _is_ready(running), within_s=30)
                yield running
        finally:
            process.kill()
            await asyncio.to_thread(process.join)


async def _is_ready(running: RunningService) -> bool:
    assert running.process.is_alive(), running.log.read_text()
    try:
        return (await running.service.http.get("/health/ready")).is_success
    except httpx.TransportError:
        return False


def _serve(name: str, listener: socket.socket, log: Path, arguments: dict[str, Any]) -> None:
    with log.open("wb", buffering=0) as errors:
        os.dup2(errors.fileno(), 2)
    app = import_module(f"services.{name}.app").create_app(**arguments)
    configure_logs("warning", part=name)
    uvicorn.run(
        app, fd=listener.fileno(), log_level="warning", http="httptools", loop="uvloop", timeout_keep_alive=IDLE_S
    )
