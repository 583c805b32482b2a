"""The RabbitMQ that tests use, where there is one."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest

from run.ports import free_port
from run.supervisor import leashed
from tests.support.eventually import eventually

RABBITMQ_URL = os.environ.get("AMENDS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")


def rabbitmq_address() -> tuple[str, int]:
    parts = urlsplit(RABBITMQ_URL)
    return parts.hostname or "127.0.0.1", parts.port or 5672


def require_rabbitmq() -> None:
    """Skips the test where no RabbitMQ answers. CI does not take a skipped test for a passed one."""
    host, port = rabbitmq_address()
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        pytest.skip(f"no RabbitMQ answers at {host}:{port}; AMENDS_TEST_RABBITMQ_URL names another")


@asynccontextmanager
async def without_leftovers(exchange: str, *consumers: str) -> AsyncIterator[None]:
    """Deletes the exchange and its consumers' queues at the end."""
    yield
    async with await aio_pika.connect(RABBITMQ_URL) as connection, connection.channel() as channel:
        for consumer in consumers:
            for queue in (f"{exchange}.{consumer}", f"{exchange}.{consumer}.dead"):
                await channel.queue_delete(queue)
        await channel.exchange_delete(exchange)


@dataclass(frozen=True, slots=True)
class OwnRabbitMQ:
    """One that nobody else uses, with its management plugin."""

    url: str
    management_url: str


@asynccontextmanager
async def own_rabbitmq(folder: Path) -> AsyncIterator[OwnRabbitMQ]:
    """Runs one as long as the context lasts. Skips the test where none is installed."""
    server = _server()
    port, management_port, distribution_port = _free_ports(3)
    (folder / "plugins").write_text("[rabbitmq_management].\n")
    (folder / "rabbitmq.conf").write_text(
        f"listeners.tcp.1 = 127.0.0.1:{port}\nmanagement.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {management_port}\n"
    )
    environment = {
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"amends-{port}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
    }
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            leashed((server,)), env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    try:
        url = f"http://guest:guest@127.0.0.1:{management_port}"
        await eventually(lambda: _answers(url, process), within_s=60, every_s=0.2)
        yield OwnRabbitMQ(f"amqp://guest:guest@127.0.0.1:{port}/", url)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _server() -> str:
    # Debian's own command for it would change to another user.
    debians = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    server = str(debians) if debians.exists() else shutil.which("rabbitmq-server")
    if server is None:
        pytest.skip("no RabbitMQ is installed here, of which this test runs one of its own")
    return server


def _free_ports(count: int) -> list[int]:
    ports: list[int] = []
    for _ in range(count):
        ports.append(free_port("127.0.0.1", ports))
    return ports


def _answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "RabbitMQ has ended"
    try:
        return httpx.get(f"{url}/api/overview", trust_env=False).is_success
    except httpx.TransportError:
        return False
