"""The RabbitMQ that tests use, where there is one."""

import os
import socket
from urllib.parse import urlsplit

import pytest

RABBITMQ_URL = os.environ.get("AMENDS_TEST_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672/")


def rabbitmq_address() -> tuple[str, int]:
    parts = urlsplit(RABBITMQ_URL)
    return parts.hostname or "127.0.0.1", parts.port or 5672


def require_rabbitmq() -> None:
    """Skips the test where no RabbitMQ answers. CI does not take a skipped test for a passed one."""
    address = rabbitmq_address()
    try:
        socket.create_connection(address, timeout=2).close()
    except OSError:
        pytest.skip(f"no RabbitMQ answers at {address[0]}:{address[1]}; AMENDS_TEST_RABBITMQ_URL names another")
