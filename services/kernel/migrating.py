"""Brings a database to the newest revision of its tables. Only `./amends migrate` and tests load this, and Alembic.

Guarantees:
- All or nothing: the revisions that a database lacks are one transaction, on both back ends.
- Two of them at once are harmless: they wait for one another under the database's write lock, and the second one finds
  nothing to do.
- A SQLite file from the time before there were migrations is taken as being at the first revision, which is what it is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, inspect

from services.kernel.database import Database
from services.kernel.schema import VERSION_TABLE, Schema


class UnknownRevision(Exception):
    """The database was migrated by a newer version of us, or belongs to something else."""


@dataclass(frozen=True, slots=True)
class Migrated:
    before: str | None
    after: str


def migrate(database: Database, schema: Schema) -> Migrated:
    """Runs the revisions that the database lacks.

    Raises:
        UnknownRevision: it is at a revision that is none of the schema's; nothing was changed.
        TryLater: it is away, or locked for too long.
    """
    scripts = scripts_of(schema)
    with database.changing_tables() as connection:
        before = _adopt(connection, schema, scripts)
        try:
            _upgrade(connection, scripts)
        except CommandError as error:
            raise UnknownRevision(f"is at revision {before}, which this version does not know") from error
    return Migrated(before, schema.revision)


def scripts_of(schema: Schema) -> ScriptDirectory:
    folder = str(schema.migrations)
    return ScriptDirectory(folder, version_locations=[folder])


def _adopt(connection: Connection, schema: Schema, scripts: ScriptDirectory) -> str | None:
    """The present revision; where there is none although there are tables, the first one is put on record."""
    context = MigrationContext.configure(connection)
    present = context.get_current_revision()
    if present is not None or connection.dialect.name != "sqlite":
        return present
    if not set(schema.table_names) & set(inspect(connection).get_table_names()):
        return None
    (first,) = scripts.get_bases()
    context.stamp(scripts, first)
    return first


def _upgrade(connection: Connection, scripts: ScriptDirectory) -> None:
    def missing(revision: Any, _context: MigrationContext) -> Iterable[Any]:
        return scripts._upgrade_revs("head", revision)

    # Without the usual env.py, which would have to find out what we know here.
    with EnvironmentContext(Config(), scripts, fn=missing) as environment:
        environment.configure(connection=connection, version_table=VERSION_TABLE)
        environment.run_migrations()
