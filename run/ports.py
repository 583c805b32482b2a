"""Ports: take free ones, and say clearly which ones are taken and by whom."""

import errno
import random
import socket
from collections.abc import Container, Mapping

import psutil

from run.errors import CannotRun, PortTaken
from run.settings import Settings, variable_of

PORTS: Mapping[str, str] = {
    "engine_port": "the Temporal dev server",
    "engine_ui_port": "the Temporal Web UI",
    "engine_http_port": "the Temporal dev server's HTTP API",
    "engine_metrics_port": "the Temporal dev server's metrics",
    "order_port": "the order service",
    "payment_port": "the payment service",
    "shipping_port": "the shipping service",
    "views_port": "the query side",
    "notifications_port": "the customer notifications",
    "relay_port": "the relay to RabbitMQ",
    "listener_port": "the listener",
    "api_port": "the API",
}
"""Each port's setting, and who listens there."""

# Below the range from which systems take the ports of outgoing connections: a part that is down for a moment must not
# lose its port to one of these.
_FREE_RANGE = range(20_000, 32_000)
_TRIES = 200


def settle_ports(settings: Settings, needed: list[str]) -> Settings:
    """The settings with real, free ports for all that is needed.

    Raises:
        PortTaken: a port that was asked for is in use.
        CannotRun: two parts were given the same port, or the address is not this machine's.
    """
    chosen: dict[str, int] = {}
    for name in needed:
        port: int = getattr(settings, name)
        if port == 0:
            continue
        for other, same in chosen.items():
            if same == port:
                raise CannotRun(f"{variable_of(other)} and {variable_of(name)} are both {port}; change one of them")
        _require_free(settings.host, port, name)
        chosen[name] = port
    for name in needed:
        if name not in chosen:
            chosen[name] = free_port(settings.host, set(chosen.values()))
    return settings.model_copy(update=chosen)


def free_port(host: str, taken: Container[int]) -> int:
    """A port at which nobody listens now, and none of those that are taken.

    Raises:
        CannotRun: there is none, or the address is not this machine's.
    """
    for _ in range(_TRIES):
        port = random.choice(_FREE_RANGE)  # noqa: S311 - any free port will do
        if port in taken:
            continue
        try:
            bind(host, port).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise CannotRun(f"cannot listen at {host}: {error.strerror}; set {variable_of('host')}") from None
        return port
    raise CannotRun(f"found no free port from {_FREE_RANGE.start} to {_FREE_RANGE.stop}")


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address, as servers bind theirs."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    return bound


def explain(error: OSError, host: str, port: int, setting: str) -> CannotRun:
    """A failed `bind`, in words for whoever started the process."""
    variable, part = variable_of(setting), PORTS[setting]
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"port {port} of {part} is in use{_by_whom(port)}; stop that, or set {variable}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return CannotRun(f"this user may not listen at port {port} of {part}; set {variable}")
    return CannotRun(f"cannot listen at {host}: {error.strerror or error}; set {variable_of('host')}")


def _require_free(host: str, port: int, setting: str) -> None:
    try:
        bind(host, port).close()
    except OSError as error:
        raise explain(error, host, port, setting) from None


def _by_whom(port: int) -> str:
    """The process that listens there, where the system lets us see it."""
    try:
        listening = [
            connection
            for connection in psutil.net_connections("tcp")
            if connection.status == psutil.CONN_LISTEN
            and connection.laddr
            and connection.laddr.port == port
            and connection.pid
        ]
        if not listening:
            return ""
        pid = listening[0].pid
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ""
    return f" by process {pid} ({command[:80]})"
