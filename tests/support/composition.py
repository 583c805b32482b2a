"""docker-compose.yml without containers: our processes natively, with just the file's commands and environments.

Replaced are addresses alone: those of PostgreSQL, RabbitMQ and Temporal by real ones of this machine, those of our own
services by balancers before their replicas, and the ports at which replicas would meet by free ones.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from run.settings import PREFIX, ROOT, Settings
from run.state import Urls
from run.supervisor import leashed
from tests.support.balancer import Balancer
from tests.support.compose_file import entrypoint, our_services
from tests.support.eventually import eventually

HEALTHY_WITHIN_S = 120.0
STOP_WITHIN_S = 30.0
_LISTENING = re.compile(rb" listening on http://[\d.]+:(\d+)")


class Replica:
    """One of a service's processes, and those that take its place when it dies.

    Args:
        service: as the file has it, addresses replaced.
        listens_at: the port at which it would listen in its container, if it listens at all.
    """

    def __init__(self, name: str, service: Mapping[str, Any], listens_at: int | None) -> None:
        self.name = name
        self.port: int | None = None
        """Where it listens now."""
        self.healthy = False
        self.starts = 0
        self.output = b""
        self._service = service
        self._listens_at = listens_at
        self._process: Process | None = None
        self._stopping = False

    async def run(self) -> int:
        """Runs it once, to its end. Returns the exit code."""
        words = [sys.executable, *entrypoint()[1:], *self._service["command"]]
        environment = {"PATH": os.environ["PATH"], PREFIX + "ENV_FILE": "", **self._service["environment"]}
        if self._listens_at:
            environment[f"{PREFIX}{self.name.upper()}_PORT"] = "0"
        self.starts += 1
        self._process = await asyncio.create_subprocess_exec(
            *leashed(tuple(words)), cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT
        )
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            self.output += line
            if found := _LISTENING.search(line):
                self.port = int(found[1])
        return await self._process.wait()

    async def keep_up(self) -> None:
        """Runs it again whenever it ends, until it is stopped: `restart: unless-stopped`."""
        while not self._stopping:
            checking = asyncio.create_task(self._check())
            await self.run()
            checking.cancel()
            self.healthy, self.port = False, None

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()

    async def stop(self) -> None:
        """As compose does it: politely, and by force when that takes too long."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            raise AssertionError(f"{self.name} did not stop:\n{self.output.decode()}") from None

    async def _check(self) -> None:
        """Asks the file's own health check until it is content."""
        while not self.healthy:
            if self._listens_at is None or self.port is not None:
                ports = {str(self._listens_at): str(self.port), "python": sys.executable}
                words = [ports.get(word, word) for word in self._service["healthcheck"]["test"][1:]]
                check = await asyncio.create_subprocess_exec(*words, cwd=ROOT, stdout=PIPE, stderr=STDOUT)
                await check.communicate()
                self.healthy = check.returncode == 0
            await asyncio.sleep(0.2)


class Composition:
    """What runs of the file. Use it with `up()`.

    Args:
        replacements: what stands in the file's environments, and the real address that takes its place.
        temporal: where Temporal is, as host:port.
        replicas: how many of each service that keeps running; by default as many as the file says.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        *,
        replacements: Mapping[str, str],
        temporal: str,
        folder: Path,
        replicas: int | None = None,
    ) -> None:
        self.running: dict[str, list[Replica]] = {}
        self._services = our_services(document)
        self._replacements = {**replacements, "temporal:7233": temporal, "0.0.0.0": "127.0.0.1"}
        self._temporal = temporal
        self._folder = folder
        self._replicas = replicas
        self._balancers: dict[str, Balancer] = {}

    @property
    def urls(self) -> Urls:
        of = {name: f"http://127.0.0.1:{balancer.port}" for name, balancer in self._balancers.items()}
        return Urls.model_validate({**of, "temporal": self._temporal, "temporal_ui": ""})

    @asynccontextmanager
    async def up(self) -> AsyncIterator[None]:
        """Starts everything in the file's order, each when all that it depends on is healthy or done."""
        ready = {name: asyncio.Event() for name in self._services}
        async with AsyncExitStack() as stack:
            for name in self._services:
                self.running[name] = []
                if _port_of(name):
                    self._balancers[name] = balancer = Balancer(self.running[name])
                    await stack.enter_async_context(balancer.opened())
            kept_up: list[asyncio.Task[None]] = []
            stack.push_async_callback(self._stop, kept_up)
            async with asyncio.TaskGroup() as group:
                for name in self._services:
                    group.create_task(self._bring_up(name, ready, kept_up))
            yield

    async def restarted(self, name: str, number: int) -> None:
        """Kills a replica, and waits until another process is healthy in its place."""
        replica = self.running[name][number]
        starts = replica.starts
        replica.kill()
        await eventually(lambda: replica.starts > starts and replica.healthy, within_s=HEALTHY_WITHIN_S)

    async def _bring_up(self, name: str, ready: Mapping[str, asyncio.Event], kept_up: list[asyncio.Task[None]]) -> None:
        service = self._services[name]
        for other in service["depends_on"]:
            if other in ready:  # the others run already
                await ready[other].wait()
        if "healthcheck" in service:
            replicas = self.running[name]
            for number in range(self._replicas or service.get("deploy", {}).get("replicas", 1)):
                replicas.append(self._replica(name, number))
                kept_up.append(asyncio.create_task(replicas[-1].keep_up()))
            await eventually(lambda: all(replica.healthy for replica in replicas), within_s=HEALTHY_WITHIN_S)
        else:
            once = self._replica(name, 0)
            assert await once.run() == 0, f"{name}:\n{once.output.decode()}"
        ready[name].set()

    def _replica(self, name: str, number: int) -> Replica:
        folder = self._folder / f"{name}-{number}"
        folder.mkdir()
        service = self._services[name]
        environment = {key: self._replaced(str(value), folder) for key, value in service["environment"].items()}
        check = [self._replaced(word, folder) for word in service.get("healthcheck", {}).get("test", [])]
        replaced = {**service, "environment": environment, "healthcheck": {"test": check}}
        return Replica(name, replaced, _port_of(name))

    def _replaced(self, value: str, folder: Path) -> str:
        for name, balancer in self._balancers.items():
            value = value.replace(f"http://{name}:{_port_of(name)}", f"http://127.0.0.1:{balancer.port}")
        for ours, theirs in self._replacements.items():
            value = value.replace(ours, theirs)
        return value.replace("/tmp", str(folder))

    async def _stop(self, kept_up: list[asyncio.Task[None]]) -> None:
        try:
            await asyncio.gather(*(replica.stop() for replicas in self.running.values() for replica in replicas))
        finally:
            for task in kept_up:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


def _port_of(name: str) -> int | None:
    """At which the service listens in its container."""
    field = Settings.model_fields.get(f"{name}_port")
    return field.default if field else None
