"""A service as a real process, to be killed by tests. It listens on a socket that the test has bound."""

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from run.logs import configure_logs
from tests.support.eventually import eventually
from tests.support.http_server import IDLE_S
from tests.support.service_client import Service

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class RunningService:
    service: Service
    process: Process

    async def kill(self) -> str:
        """With SIGKILL: it gets no chance to tidy up. Answers what it had logged to standard error."""
        self.process.kill()
        _, logged = await self.process.communicate()
        return logged.decode()


@asynccontextmanager
async def service_process(name: str, **arguments: Any) -> AsyncIterator[RunningService]:
    """`services.<name>.app.create_app(**arguments)`, served until the end of the context or until it is killed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.support.service_process",
            json.dumps({"name": name, "fd": listener.fileno(), "arguments": arguments}),
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stdout=PIPE,
            stderr=PIPE,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            running = RunningService(Service(http), process)
            await eventually(lambda: _is_ready(running), within_s=30)
            yield running
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def _is_ready(running: RunningService) -> bool:
    assert running.process.returncode is None, (await running.process.communicate())[1].decode()
    try:
        return (await running.service.http.get("/health/ready")).is_success
    except httpx.TransportError:
        return False


def _serve(name: str, fd: int, arguments: dict[str, Any]) -> None:
    app = import_module(f"services.{name}.app").create_app(**arguments)
    configure_logs("warning", part=name)
    # The access log would fill the pipe, which nobody reads before the end.
    uvicorn.run(app, fd=fd, log_level="warning", http="httptools", loop="uvloop", timeout_keep_alive=IDLE_S)


if __name__ == "__main__":
    _serve(**json.loads(sys.argv[1]))
