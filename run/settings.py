"""Every setting there is; this package alone reads the environment.

A setting comes from a variable `AMENDS_<NAME>`, or else from the file `.env` beside this package, or else it has the
default below. Paths count from the project's folder. `./amends settings` prints the table.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from contracts.policy import Policy
from messaging.names import EXCHANGE
from run.errors import BadSetting

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "AMENDS_"
SERVICES = ("order", "payment", "shipping")
"""The command side: each has an event log."""
CONSUMERS = ("views", "notifications")
"""Who follows the event logs."""

_PASSWORD = re.compile(r"(://[^/@]*:)[^@]*@")

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
Name = Annotated[str, Field(min_length=1)]


def _from_root(path: Path) -> Path:
    return ROOT / path.expanduser()


ProjectPath = Annotated[Path, AfterValidator(_from_root)]


class Settings(BaseSettings):
    """Read it with `load_settings()`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    host: Name = "127.0.0.1"
    """The address to listen at; 0.0.0.0 for all. There is no authentication: mind who can reach it."""
    engine_port: Port = 7233
    """Of the Temporal dev server. Any port may be 0: `up` then takes a free one."""
    engine_ui_port: Port = 8233
    """Of the Temporal Web UI."""
    engine_http_port: Port = 7243
    """Of the Temporal dev server's HTTP API."""
    engine_metrics_port: Port = 7253
    """Of the Temporal dev server's Prometheus metrics."""
    order_port: Port = 8101
    """Of the order service."""
    payment_port: Port = 8102
    """Of the payment service."""
    shipping_port: Port = 8103
    """Of the shipping service."""
    views_port: Port = 8104
    """Of the query side."""
    notifications_port: Port = 8105
    """Of the customer notifications."""
    relay_port: Port = 8106
    """Of the relay to RabbitMQ: its health and metrics."""
    listener_port: Port = 8107
    """Of the listener, which takes awaited events to their sagas: its health and metrics."""
    api_port: Port = 8000
    """Of the API."""

    data_dir: ProjectPath = Path("data")
    """The folder of all databases, logs and the record of what runs."""
    stock_file: ProjectPath = Path("examples/stock.toml")
    """The stock that an empty shipping service starts with."""
    order_database_url: str | None = None
    """Of the order service; by default SQLite in the data folder."""
    payment_database_url: str | None = None
    """Of the payment service; by default SQLite in the data folder."""
    gateway_database_url: str | None = None
    """Of the payment gateway simulator's own books; by default SQLite in the data folder."""
    shipping_database_url: str | None = None
    """Of the shipping service; by default SQLite in the data folder."""
    views_database_url: str | None = None
    """Of the query side; by default SQLite in the data folder."""
    notifications_database_url: str | None = None
    """Of the customer notifications; by default SQLite in the data folder."""
    relay_database_url: str | None = None
    """Of the relay, which keeps there how far it has got; by default SQLite in the data folder."""
    listener_database_url: str | None = None
    """Of the listener, which keeps there how far it has got; by default SQLite in the data folder."""

    event_transport: Literal["feed", "rabbitmq"] = "feed"
    """How consumers hear of events: from each service's feed, or by RabbitMQ with the feeds behind it."""
    rabbitmq_url: Name = "amqp://guest:guest@127.0.0.1:5672/"
    """The RabbitMQ to use with `event_transport` rabbitmq."""
    rabbitmq_management_url: str | None = None
    """Its management plugin, such as http://guest:guest@127.0.0.1:15672; chaos runs cut connections by it."""
    rabbitmq_exchange: Name = EXCHANGE
    """The topic exchange; queues are named after it. Systems that share a RabbitMQ need one each."""

    temporal_address: str | None = None
    """A Temporal to use, as host:port. Where it is given, `up` starts none."""
    temporal_ui_url: str | None = None
    """The Web UI of that Temporal, for links to it."""
    temporal_cli: ProjectPath | None = None
    """The Temporal CLI. By default the one on PATH, or else the installed wheel's."""
    order_url: str | None = None
    """An order service to use. Where it is given, `up` starts none; likewise for the next two."""
    payment_url: str | None = None
    """A payment service to use."""
    shipping_url: str | None = None
    """A shipping service to use."""
    views_url: str | None = None
    """A query side to use. Where it is given, `up` starts none; likewise for the next one."""
    notifications_url: str | None = None
    """A process of customer notifications to use."""
    relay_url: str | None = None
    """A relay that runs elsewhere, for `lag`. Where it is given, `up` starts none; likewise for the next one."""
    listener_url: str | None = None
    """A listener that runs elsewhere."""
    api_url: str | None = None
    """The API that `./amends order` and its like talk to; by default the one that `up` runs."""

    namespace: Name = "amends"
    """The Temporal namespace of the sagas."""
    task_queue: Name = "sagas"
    """The Temporal task queue that API and workers share."""
    retention_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """How long Temporal keeps ended sagas, at least."""
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """How many worker processes `up` starts."""
    max_cached_workflows: Annotated[int, Field(ge=0)] = 1000
    """Sagas that a worker holds in memory; with 0 it replays a saga's history at every step."""
    policy: dict[str, Any] = {}
    """Timeouts and retries of new sagas, one variable each (see below)."""
    gateway_reply_delay_s: Annotated[float, Field(ge=0, le=60)] = 0
    """How long the payment gateway simulator's answers take; for tests that die in between."""
    carrier_delay_s: Annotated[float, Field(ge=0, le=86_400)] = 2
    """How long the simulated carrier takes to answer for an order whose carrier answers by event."""
    audit_max_orders: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Of how many open orders an audit of everything asks whether their sagas have ended."""
    audit_grace_s: Seconds = 300
    """How long an order that is not settled may be left alone before the query side counts it as overdue."""
    fault_injection: bool = False
    """Whether orders may bring faults. `make up` enables it."""
    api_max_body_bytes: Annotated[int, Field(ge=1024)] = 262_144
    """The largest body that the API reads."""
    api_max_wait_s: Annotated[int, Field(ge=0, le=3600)] = 60
    """The longest that `Prefer: wait` may hold a request."""

    ready_file: Path | None = None
    """Where a worker writes its process id once it takes sagas; `up` sets it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is logged."""
    log_max_bytes: Annotated[int, Field(ge=1024)] = 10_000_000
    """A log larger than this is put aside, as <part>.log.1, when its part starts."""
    connect_timeout_s: Seconds = 10
    """How long a process waits for Temporal to answer before it gives up."""
    start_timeout_s: Seconds = 60
    """How long all parts may take to become healthy."""
    stop_timeout_s: Seconds = 15
    """How long each part may take to stop before it is killed."""

    @property
    def reachable_host(self) -> str:
        """Where this machine reaches what listens at `host`."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104

    def address_of(self, port: int) -> str:
        host = self.reachable_host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def url_of(self, port: int) -> str:
        return f"http://{self.address_of(port)}"

    @property
    def engine_address(self) -> str:
        return self.temporal_address or self.address_of(self.engine_port)

    @property
    def engine_ui_url(self) -> str:
        return self.temporal_ui_url or self.url_of(self.engine_ui_port)

    def service_port(self, service: str) -> int:
        port: int = getattr(self, f"{service}_port")
        return port

    def service_url(self, service: str) -> str:
        given: str | None = getattr(self, f"{service}_url")
        return given or self.url_of(self.service_port(service))

    @property
    def feed_urls(self) -> dict[str, str]:
        """Where each service's event feed is."""
        return {name: self.service_url(name) for name in SERVICES}

    @property
    def broker_url(self) -> str | None:
        """RabbitMQ's, where events travel by it."""
        return self.rabbitmq_url if self.event_transport == "rabbitmq" else None

    def database_url(self, name: str) -> str:
        given: str | None = getattr(self, f"{name}_database_url")
        return given or f"sqlite:///{self.data_dir / name}.db"

    def saga_policy(self) -> Policy:
        """The policy of new sagas.

        Raises:
            BadSetting: one of its values is wrong.
        """
        try:
            return Policy.model_validate(self.policy)
        except ValidationError as error:
            raise BadSetting(_first_line(error, "policy")) from None


def load_settings() -> Settings:
    """Reads the environment.

    Raises:
        BadSetting: a variable has a value that it cannot have; the message names it.
    """
    try:
        return Settings(_env_file=_env_file())
    except ValidationError as error:
        raise BadSetting(_first_line(error)) from None
    except SettingsError as error:
        # Only settings with parts are read as JSON.
        raise BadSetting(f"{variable_of('policy')}: is not JSON ({error.__cause__ or error})") from None


def unknown_variables() -> list[str]:
    """Variables that look like settings and are none: most likely typing errors."""
    known = {variable_of(name) for name in Settings.model_fields} | {PREFIX + "ENV_FILE"}
    return sorted(
        name
        for name in os.environ
        if name.startswith(PREFIX) and name not in known and not name.startswith(PREFIX + "POLICY__")
    )


def variable_of(*path: object) -> str:
    """The environment variable of a setting."""
    return PREFIX + "__".join(str(part) for part in path).upper()


def describe(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Every setting: its variable, its value now, its meaning."""
    for name, field in Settings.model_fields.items():
        if name != "policy":
            value = getattr(settings, name)
            shown = "" if value is None else _PASSWORD.sub(r"\1***@", str(value))
            yield variable_of(name), shown, field.description or ""
    policy = settings.saga_policy()
    for name, field in type(policy).model_fields.items():
        yield variable_of("policy", name), str(getattr(policy, name)), field.description or "see contracts/policy.py"


def _env_file() -> Path | None:
    """`.env` beside this package, or the file that AMENDS_ENV_FILE names; empty for none."""
    given = os.environ.get(PREFIX + "ENV_FILE")
    if given is None:
        return ROOT / ".env"
    return ROOT / given if given else None


def _first_line(error: ValidationError, *within: str) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    path = (*within, *first["loc"])
    message = "there is no such setting" if first["type"] == "extra_forbidden" else first["msg"]
    message = message.removeprefix("Value error, ")
    # The policy's own checks begin with the field that they are about.
    field, colon, rest = message.partition(": ")
    if path == ("policy",) and colon and field.isidentifier():
        path, message = (*path, field), rest
    # URLs may hold a password.
    shown = "" if str(path[-1]).endswith("_url") or isinstance(first["input"], dict) else f" (it is {first['input']!r})"
    return f"{variable_of(*path)}: {message}{shown}; ./amends settings explains it"
