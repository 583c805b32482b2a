"""The databases of the system: whose each is, what must be in it, and the verb that puts it there."""

from collections.abc import Iterable
from contextlib import closing
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from run.errors import CannotRun
from run.settings import Settings, load_settings, variable_of

if TYPE_CHECKING:
    from services.kernel.database import Database
    from services.kernel.errors import TryLater
    from services.kernel.patience import Patience
    from services.kernel.schema import Schema


class DatabaseName(StrEnum):
    ORDER = "order"
    PAYMENT = "payment"
    GATEWAY = "gateway"
    SHIPPING = "shipping"
    VIEWS = "views"
    NOTIFICATIONS = "notifications"
    RELAY = "relay"
    LISTENER = "listener"


def add_to(app: typer.Typer) -> None:
    app.command()(migrate)


def migrate(
    databases: Annotated[list[DatabaseName] | None, typer.Argument(help="Which ones; all if left out.")] = None,
) -> None:
    """Bring databases to the tables that this version needs. One that has them is left alone."""
    from services.kernel.errors import TryLater
    from services.kernel.migrating import UnknownRevision
    from services.kernel.migrating import migrate as migrate_one
    from services.kernel.patience import MIGRATING

    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    for name in databases or DatabaseName:
        schema = schema_of(name)
        try:
            with closing(_open(name, settings, MIGRATING)) as database:
                migrated = migrate_one(database, schema)
        except (UnknownRevision, TryLater) as error:
            raise CannotRun(f"{_whose(name)} {error}") from error
        what = (
            "is"
            if migrated.before == migrated.after
            else f"was {f'at {migrated.before}' if migrated.before else 'empty'}, and is now"
        )
        typer.echo(f"{name} {what} at {migrated.after}")


def require_migrated(settings: Settings, names: Iterable[DatabaseName]) -> None:
    """Lets a process start only on databases that it can use.

    Raises:
        CannotRun: one of them lacks tables that this version needs, or does not answer.
    """
    from services.kernel.errors import TryLater
    from services.kernel.patience import SERVING
    from services.kernel.schema import why_unusable

    for name in names:
        try:
            with closing(_open(name, settings, SERVING)) as database:
                reason = why_unusable(database, schema_of(name))
        except TryLater as error:
            why = _in_the_servers_words(error)
            raise CannotRun(
                f"{_whose(name)} cannot be used: {error}{why}; {_variable(name)} says where it is"
            ) from error
        if reason is not None:
            raise CannotRun(f"{_whose(name)} {reason}: run ./amends migrate")


def schema_of(name: str) -> "Schema":
    match DatabaseName(name):
        case DatabaseName.ORDER | DatabaseName.PAYMENT | DatabaseName.SHIPPING:
            from services.kernel.tables import KERNEL_SCHEMA

            return KERNEL_SCHEMA
        case DatabaseName.GATEWAY:
            from services.payment.gateway_simulator import GATEWAY_SCHEMA

            return GATEWAY_SCHEMA
        case DatabaseName.VIEWS:
            from services.views.tables import VIEW_SCHEMA

            return VIEW_SCHEMA
        case DatabaseName.NOTIFICATIONS:
            from services.notifications.tables import NOTIFICATION_SCHEMA

            return NOTIFICATION_SCHEMA
        case DatabaseName.RELAY | DatabaseName.LISTENER:
            from services.kernel.consumer.forwarder import FORWARDER_SCHEMA

            return FORWARDER_SCHEMA


def _open(name: DatabaseName, settings: Settings, patience: "Patience") -> "Database":
    from services.kernel.database import Database

    try:
        return Database(settings.database_url(name), patience)
    except ValueError as error:
        raise CannotRun(f"{_variable(name)}: {error}") from None


def _in_the_servers_words(error: "TryLater") -> str:
    """A wrong name or password looks to the code like a server that is away, and to people it must not."""
    _, found, why = str(getattr(error.__cause__, "orig", "")).partition("FATAL: ")
    return f" ({why.splitlines()[0].strip()})" if found else ""


def _whose(name: DatabaseName) -> str:
    match name:
        case DatabaseName.ORDER | DatabaseName.PAYMENT | DatabaseName.SHIPPING:
            return f"the database of the {name} service"
        case DatabaseName.GATEWAY:
            return "the database of the payment gateway simulator"
        case _:
            return f"the database of the {name}"


def _variable(name: DatabaseName) -> str:
    return variable_of(f"{name}_database_url")
