"""The RabbitMQ that tests use, where there is one."""

import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aio_pika
import pytest

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
