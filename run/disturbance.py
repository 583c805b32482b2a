"""What a chaos run does to the running system: kills its parts, and cuts their connections."""

import asyncio
import os
import signal
from collections.abc import Callable
from functools import partial
from random import Random
from urllib.parse import quote

import httpx
import psycopg
from sqlalchemy import make_url

from proof.errors import CannotProve
from run.settings import Settings
from run.state import Condition, running_state

_CUT_WITHIN_S = 10
_DATABASES = ("order", "payment", "gateway", "shipping", "views", "notifications", "listener", "relay")


class Disturbance:
    """Kills a part with SIGKILL, or cuts all connections to a PostgreSQL database, or to RabbitMQ."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._cuts: dict[str, Callable[[], None]] = {}
        """By what a report calls them."""
        for name in _DATABASES:
            url = settings.database_url(name)
            if url.startswith("postgresql"):
                self._cuts[f"connections to {name}"] = partial(cut_off_from_database, url)
        if settings.broker_url and (management := settings.rabbitmq_management_url):
            self._cuts["connections to rabbitmq"] = partial(
                cut_off_from_rabbitmq, management, exchange=settings.rabbitmq_exchange
            )

    async def __call__(self, random: Random) -> str:
        """Names what it did: the part, or the database as `connections to order`.

        Raises:
            CannotProve: the system's supervisor, the database's server or RabbitMQ cannot be reached.
        """
        state = running_state(self._settings)
        if state is None:
            raise CannotProve("the system's supervisor is gone")
        alive = [name for name, part in state.parts.items() if part.process and part.condition is Condition.HEALTHY]
        victim = random.choice(sorted(alive) + list(self._cuts))
        if victim in self._cuts:
            await asyncio.to_thread(self._cuts[victim])
            return victim
        process = state.parts[victim].process
        if process is not None and (found := process.find()) is not None:
            os.kill(found.pid, signal.SIGKILL)
        return victim


def cut_off_from_database(url: str) -> None:
    """Ends all connections to a PostgreSQL database, but to no other one of its server.

    Raises:
        CannotProve: the server cannot be asked to.
    """
    parsed = make_url(url)
    everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
    maintenance = parsed.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    try:
        with psycopg.connect(maintenance, autocommit=True, connect_timeout=_CUT_WITHIN_S) as connection:
            connection.execute(everybody, (parsed.database,))
    except psycopg.Error as error:
        raise CannotProve(f"connections to {parsed.database} cannot be cut: {error}") from error


def cut_off_from_rabbitmq(management_url: str, *, exchange: str) -> None:
    """Ends all connections of the system that uses the exchange, by RabbitMQ's management plugin.

    Raises:
        CannotProve: the plugin cannot be asked to.
    """
    try:
        with httpx.Client(base_url=management_url, timeout=_CUT_WITHIN_S, trust_env=False) as management:
            found = management.get("/api/connections", params={"columns": "name,user_provided_name"})
            for connection in found.raise_for_status().json():
                name = connection.get("user_provided_name", "")
                if name == exchange or name.startswith(f"{exchange}."):
                    # 404 where it has ended by itself meanwhile.
                    management.delete(f"/api/connections/{quote(connection['name'], safe='')}")
    except httpx.HTTPError as error:
        raise CannotProve(f"connections to RabbitMQ cannot be cut by {management_url}: {error}") from error
