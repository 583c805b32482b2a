"""What a database must look like to the code that uses it: its tables, and the revision that has them.

Tables are made and changed by `./amends migrate` alone, never by a service that starts: replicas of two versions may
run at once, and which of them is the newer one is for people to say.
"""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import inspect
from sqlmodel import Session, SQLModel, text

from services.kernel.database import Database

VERSION_TABLE = "alembic_version"


@dataclass(frozen=True, slots=True)
class Schema:
    """Of one kind of database."""

    tables: tuple[type[SQLModel], ...]
    revision: str
    """The newest, which the code needs."""
    migrations: Path
    """The folder of all revisions, one file each, `r<number>_<what>.py`."""

    @property
    def table_names(self) -> list[str]:
        return [str(table.__tablename__) for table in self.tables]


def why_unusable(database: Database, schema: Schema) -> str | None:
    """Why the code cannot use the database as it is, in words that follow on its name; None if it can.

    Raises:
        TryLater: the database does not answer.
    """
    with database.reading() as session:
        found = inspect(session.connection()).get_table_names()
        if not set(found) & set(schema.table_names):
            return "has no tables yet"
        revision = _revision(session) if VERSION_TABLE in found else None
    if revision == schema.revision:
        return None
    return f"is at {f'revision {revision}' if revision else 'no revision'}, this version needs {schema.revision}"


def _revision(session: Session) -> str | None:
    found: str | None = session.connection().execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalar()  # noqa: S608 - our own name
    return found
