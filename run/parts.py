"""The parts of the system as data: how each is started, how to tell that it is healthy, and whom it needs."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from run.settings import CONSUMERS, ROOT, SERVICES, Settings, variable_of

Probe = Callable[[int], Awaitable[bool]]
"""Tells whether the process with that id is healthy."""

_PROBE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True)
class Part:
    """One process. `up` starts parts in the order of their list, and stops them in the reverse order."""

    name: str
    command: tuple[str, ...]
    probe: Probe | None
    """None for a part that has one thing to do and ends."""
    address: str = ""
    needs: tuple[str, ...] = ()
    """Parts that must be healthy, or done, before this one is started."""
    env: Mapping[str, str] = field(default_factory=dict)


def parts_of(settings: Settings, cli: str | None) -> list[Part]:
    """What `up` runs, given settings with real ports. Without a CLI the engine is somebody else's."""
    python = (sys.executable, "-m", "run")
    env = _environment(settings)
    parts: list[Part] = []
    if cli is not None:
        from run.engine import engine_command

        probe = http_probe(settings, settings.engine_http_port, f"/api/v1/namespaces/{settings.namespace}")
        parts.append(Part("engine", engine_command(settings, cli), probe, settings.engine_address))
    parts.append(Part("migrate", (*python, "migrate", *own_databases(settings)), None, env=env))
    for name in own_services(settings, SERVICES):
        port = settings.service_port(name)
        probe = http_probe(settings, port, "/health/ready")
        parts.append(Part(name, (*python, "service", name), probe, settings.url_of(port), ("migrate",), env))
    parts.append(Part("prepare", (*python, "prepare"), None, needs=("engine",) if cli else (), env=env))
    for name in own_consumers(settings):
        port = settings.service_port(name)
        probe = http_probe(settings, port, "/health/ready")
        # The listener tells sagas, and so needs their namespace.
        needs = ("migrate", "prepare") if name == "listener" else ("migrate",)
        parts.append(Part(name, (*python, "consumer", name), probe, settings.url_of(port), needs, env))
    probe = http_probe(settings, settings.api_port, "/health/ready")
    parts.append(Part("api", (*python, "api"), probe, settings.url_of(settings.api_port), env=env))
    for name, ready_file in ready_files(settings).items():
        told = {**env, variable_of("ready_file"): str(ready_file)}
        parts.append(Part(name, (*python, "worker"), file_probe(ready_file), needs=("prepare",), env=told))
    return parts


def ready_files(settings: Settings) -> dict[str, Path]:
    """Where each of our workers, by its name, tells that it takes sagas."""
    names = ["worker", *(f"worker-{number}" for number in range(2, settings.workers + 1))]
    return {name: settings.data_dir / "run" / f"{name}.ready" for name in names}


def own_services(settings: Settings, names: Iterable[str]) -> list[str]:
    """Those that no other address is given for."""
    return [name for name in names if getattr(settings, f"{name}_url") is None]


def own_consumers(settings: Settings) -> list[str]:
    """Those that no other address is given for; the relay only where events travel by RabbitMQ."""
    return own_services(settings, (*CONSUMERS, *(["relay"] if settings.broker_url else []), "listener"))


def own_databases(settings: Settings) -> list[str]:
    """Of our own services and consumers."""
    services = own_services(settings, SERVICES)
    return [*services, *(["gateway"] if "payment" in services else []), *own_consumers(settings)]


def ports_needed(settings: Settings) -> list[str]:
    """The settings of all ports at which our parts will listen."""
    engine = ["engine_port", "engine_ui_port", "engine_http_port", "engine_metrics_port"]
    return [
        *(engine if settings.temporal_address is None else []),
        *(f"{name}_port" for name in (*own_services(settings, SERVICES), *own_consumers(settings))),
        "api_port",
    ]


def http_probe(settings: Settings, port: int, path: str) -> Probe:
    """Healthy is who answers 200."""
    host = settings.reachable_host
    request = f"GET {path} HTTP/1.1\r\nHost: {settings.address_of(port)}\r\nConnection: close\r\n\r\n".encode()

    async def probe(_pid: int) -> bool:
        try:
            async with asyncio.timeout(_PROBE_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(request)
                    status = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError, ValueError):
            return False
        return status.split()[1:2] == [b"200"]

    return probe


def file_probe(path: Path) -> Probe:
    """Healthy is whose id stands in the file."""

    async def probe(pid: int) -> bool:
        try:
            return path.read_text() == str(pid)  # noqa: ASYNC240 - a few bytes, just written
        except FileNotFoundError:
            return False

    return probe


def _environment(settings: Settings) -> dict[str, str]:
    """What `up` has settled for its parts: real ports and absolute paths."""
    settled = {name: str(getattr(settings, name)) for name in ports_needed(settings) if not name.startswith("engine")}
    settled |= {
        "data_dir": str(settings.data_dir),
        "temporal_address": settings.engine_address,
        "temporal_ui_url": settings.engine_ui_url,
        "fault_injection": str(settings.fault_injection),
    }
    return {variable_of(name): value for name, value in settled.items()} | {"PYTHONPATH": str(ROOT)}
