"""The databases of the system: whose each is, what must be in it, and the verb that puts it there."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from run.errors import CannotRun
from run.settings import Settings, load_settings, variable_of

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError

    from services.kernel.database import Database
    from services.kernel.errors import TryLater
    from services.kernel.patience import Patience
    from services.kernel.schema import Schema


_POSTGRES_PORT = 5432


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
    from sqlalchemy.exc import SQLAlchemyError

    from services.kernel.errors import TryLater
    from services.kernel.migrating import UnknownRevision
    from services.kernel.migrating import migrate as migrate_one
    from services.kernel.patience import MIGRATING

    settings = load_settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    _require_one_each(settings)
    for name in databases or DatabaseName:
        schema = schema_of(name)
        try:
            with closing(_open(name, settings, MIGRATING)) as database:
                migrated = migrate_one(database, schema)
        except UnknownRevision as error:
            raise CannotRun(f"{_whose(name)} {error}") from error
        except (SQLAlchemyError, sqlite3.Error, TryLater) as error:
            raise CannotRun(_why_not(name, error)) from error
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
    from sqlalchemy.exc import SQLAlchemyError

    from services.kernel.errors import TryLater
    from services.kernel.patience import SERVING
    from services.kernel.schema import why_unusable

    _require_one_each(settings)
    for name in names:
        try:
            with closing(_open(name, settings, SERVING)) as database:
                reason = why_unusable(database, schema_of(name))
        except (SQLAlchemyError, TryLater) as error:
            raise CannotRun(_why_not(name, error)) from error
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


def _require_one_each(settings: Settings) -> None:
    """Services have the same tables, and so would take each other's events for their own; forwarders share a cursor.

    Raises:
        CannotRun: two settings name one database.
    """
    whose: dict[object, DatabaseName] = {}
    for name in DatabaseName:
        other = whose.setdefault(_place_of(name, settings), name)
        if other is not name:
            raise CannotRun(f"{_variable(other)} and {_variable(name)} name one database: each needs one of its own")


def _place_of(name: DatabaseName, settings: Settings) -> object:
    """Equal for two URLs of one database, as far as URLs tell."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(settings.database_url(name))
    except (ArgumentError, ValueError):
        return name  # told when it is opened
    if url.get_backend_name() == "sqlite":
        return Path(url.database or "").resolve()
    return url.host, url.port or _POSTGRES_PORT, url.database, tuple(sorted(url.query.items()))


def _why_not(name: DatabaseName, error: "SQLAlchemyError | sqlite3.Error | TryLater") -> str:
    from services.kernel.errors import TryLater

    if isinstance(error, TryLater):
        why = f"{error}{_in_the_servers_words(error)}"
    else:
        why = str(getattr(error, "orig", None) or error).splitlines()[0]
    return f"{_whose(name)} cannot be used: {why}; {_variable(name)} says where it is"


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
