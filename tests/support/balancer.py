"""One address for all replicas of a service, as a load balancer or a container network gives them."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

from tests.support.tcp_gate import TcpGate


class Listening(Protocol):
    port: int | None
    """None while it does not listen."""


class Balancer(TcpGate):
    """Hands each connection to the next replica that takes it."""

    def __init__(self, replicas: Sequence[Listening]) -> None:
        super().__init__("127.0.0.1", 0)
        self._replicas = replicas
        self._turn = 0

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ports = [replica.port for replica in self._replicas if replica.port is not None]
        self._turn += 1
        for i in range(len(ports)):
            try:
                return await asyncio.open_connection("127.0.0.1", ports[(self._turn + i) % len(ports)])
            except ConnectionError:
                continue
        raise ConnectionRefusedError("no replica takes it")
