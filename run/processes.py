"""The verbs that are processes, or deal with them. Each loads only the part that it runs."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from run import system
from run.databases import DatabaseName, require_migrated
from run.errors import CannotRun
from run.settings import Settings, describe, load_settings, unknown_variables, variable_of

if TYPE_CHECKING:
    from fastapi import FastAPI

    from api.config import ApiSettings

_PREPARE_WITHIN_S = 30.0


class Service(StrEnum):
    ORDER = "order"
    PAYMENT = "payment"
    SHIPPING = "shipping"


class ConsumerName(StrEnum):
    VIEWS = "views"
    NOTIFICATIONS = "notifications"
    RELAY = "relay"
    """From the services' feeds to RabbitMQ."""
    LISTENER = "listener"
    """From the services to the sagas that wait for an event."""


_DATABASES = {Service.PAYMENT: (DatabaseName.PAYMENT, DatabaseName.GATEWAY)}
"""Of a service that has not only its own."""


def add_to(app: typer.Typer) -> None:
    for verb in (up, down, reset, status, settings, engine, prepare, service, consumer, worker, api):
        app.command()(verb)


def up() -> None:
    """Start everything, and stop it with Ctrl-C."""
    for name in unknown_variables():
        typer.echo(f"amends: {name} is no setting and is ignored; ./amends settings lists them", err=True)
    system.up(load_settings())


def down() -> None:
    """Stop what `up` started."""
    system.down(load_settings())


def reset(yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False) -> None:
    """Stop everything and delete all data."""
    settings = load_settings()
    if not yes:
        typer.confirm(f"Delete every database and log in {settings.data_dir}?", abort=True)
    system.reset(settings)


def status() -> None:
    """Show what runs, and where."""
    from run import pretty

    state = system.require_running(load_settings())
    table = pretty.table("part", "condition", "process", "address", "restarts")
    for name, part in state.parts.items():
        alive = part.process.find() if part.process else None
        table.add_row(name, part.condition, str(alive.pid) if alive else "", part.address, str(part.restarts))
    up_for = timedelta(seconds=round(time.time() - state.supervisor.created))
    pretty.show(table)
    pretty.line(f"\nsupervisor: process {state.supervisor.pid}, for {up_for}")


def settings() -> None:
    """Show every setting: its variable, its value now, its meaning."""
    from rich.markup import escape

    from run import pretty

    table = pretty.table("variable", "value", "meaning")
    for row in describe(load_settings()):
        table.add_row(*map(escape, row))
    pretty.show(table)


def engine() -> None:
    """Run the Temporal dev server alone."""
    from run.engine_process import run_engine

    raise typer.Exit(run_engine(load_settings()))


def prepare() -> None:
    """Make a Temporal namespace ready for sagas: retention and search attributes."""
    from run.engine import connect, prepare_namespace

    settings = load_settings()

    async def run() -> None:
        client = await connect(settings, within_s=settings.connect_timeout_s)
        retention = timedelta(days=settings.retention_days)
        await prepare_namespace(client, retention=retention, within_s=_PREPARE_WITHIN_S)

    asyncio.run(run())
    typer.echo(f"namespace {settings.namespace} at {settings.engine_address} is ready for sagas")


def service(name: Service) -> None:
    """Run one service."""
    from run.http_server import serve
    from run.logs import configure_logs

    settings = load_settings()
    configure_logs(settings.log_level, part=name)
    require_migrated(settings, _DATABASES.get(name, (DatabaseName(name),)))
    serve(_service_app(name, settings), settings, name=name, port_setting=f"{name}_port")


def consumer(name: ConsumerName) -> None:
    """Run one consumer of the services' events."""
    from run.http_server import serve
    from run.logs import configure_logs

    settings = load_settings()
    configure_logs(settings.log_level, part=name)
    require_migrated(settings, (DatabaseName(name),))
    serve(_consumer_app(name, settings), settings, name=name, port_setting=f"{name}_port")


def worker() -> None:
    """Run one worker."""
    from run.logs import configure_logs
    from run.worker_process import work

    settings = load_settings()
    configure_logs(settings.log_level, part="worker")
    asyncio.run(work(settings))


def api() -> None:
    """Run the API."""
    from api.app import create_app
    from run.http_server import serve
    from run.logs import configure_logs

    settings = load_settings()
    configure_logs(settings.log_level, part="api")
    app = create_app(settings=_api_settings(settings))
    serve(app, settings, name="api", port_setting="api_port")


def _api_settings(settings: Settings) -> "ApiSettings":
    from api.config import ApiSettings

    return ApiSettings(
        temporal_address=settings.engine_address,
        namespace=settings.namespace,
        task_queue=settings.task_queue,
        temporal_ui_url=settings.engine_ui_url,
        order_url=settings.service_url("order"),
        payment_url=settings.service_url("payment"),
        shipping_url=settings.service_url("shipping"),
        views_url=settings.service_url("views"),
        policy=settings.saga_policy(),
        fault_injection=settings.fault_injection,
        max_body_bytes=settings.api_max_body_bytes,
        max_wait_s=settings.api_max_wait_s,
        audit_max_orders=settings.audit_max_orders,
    )


def _service_app(name: Service, settings: Settings) -> "FastAPI":
    match name:
        case Service.ORDER:
            from services.order import app as order

            return order.create_app(
                database_url=settings.database_url("order"), fault_injection=settings.fault_injection
            )
        case Service.PAYMENT:
            from services.payment import app as payment

            return payment.create_app(
                database_url=settings.database_url("payment"),
                gateway_database_url=settings.database_url("gateway"),
                gateway_reply_delay_s=settings.gateway_reply_delay_s,
                fault_injection=settings.fault_injection,
            )
        case Service.SHIPPING:
            from services.shipping import app as shipping
            from services.shipping.seeding import UnusableStockFile

            try:
                return shipping.create_app(
                    database_url=settings.database_url("shipping"),
                    stock_file=settings.stock_file,
                    fault_injection=settings.fault_injection,
                    carrier_delay_s=settings.carrier_delay_s,
                )
            except UnusableStockFile as error:
                raise CannotRun(f"{error}; {variable_of('stock_file')} names the file") from error


def _consumer_app(name: ConsumerName, settings: Settings) -> "FastAPI":
    return _consumer_factory(name, settings)(
        database_url=settings.database_url(name),
        feed_urls=settings.feed_urls,
        # Who runs a relay alone has a RabbitMQ, whatever the consumers here listen to.
        rabbitmq_url=settings.rabbitmq_url if name is ConsumerName.RELAY else settings.broker_url,
        exchange=settings.rabbitmq_exchange,
    )


def _consumer_factory(name: ConsumerName, settings: Settings) -> "Callable[..., FastAPI]":
    match name:
        case ConsumerName.VIEWS:
            from services.views import app as views

            return partial(views.create_app, audit_grace_s=settings.audit_grace_s)
        case ConsumerName.NOTIFICATIONS:
            from services.notifications import app as notifications

            return notifications.create_app
        case ConsumerName.RELAY:
            from services.relay import app as relay

            return relay.create_app
        case ConsumerName.LISTENER:
            from run.listener import create_app

            return partial(create_app, settings=_api_settings(settings))
