"""What the revisions make of an empty database is what the code declares, on both back ends; and who runs them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

from run.databases import DatabaseName, schema_of
from services.kernel.database import Database
from services.kernel.migrating import Migrated, UnknownRevision, migrate, scripts_of
from services.kernel.patience import MIGRATING
from services.kernel.schema import VERSION_TABLE, why_unusable
from services.kernel.tables import KERNEL_SCHEMA
from tests.support.databases import Databases, create_tables

DISTINCT = [name for name in DatabaseName if name not in (DatabaseName.PAYMENT, DatabaseName.SHIPPING)]
"""Of the command side one stands for all: they share their schema."""


@pytest.fixture
def empty(databases: Databases) -> Iterator[Database]:
    database = Database(databases.url("empty", ()), MIGRATING)
    drop_everything(database)
    yield database
    drop_everything(database)
    database.close()


def drop_everything(database: Database) -> None:
    with database.changing_tables() as connection:
        for table in inspect(connection).get_table_names():
            connection.execute(text(f"DROP TABLE {table}"))


@pytest.mark.parametrize("name", DISTINCT)
def test_database_when_migrated_then_it_is_what_the_code_declares(empty: Database, name: str) -> None:
    schema = schema_of(name)

    migrated = migrate(empty, schema)

    assert migrated == Migrated(None, schema.revision)
    assert scripts_of(schema).get_heads() == [schema.revision]
    assert why_unusable(empty, schema) is None
    with empty.changing_tables() as connection:
        ours = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda found, kind, _: kind != "table" or found != VERSION_TABLE,
                "include_object": lambda _, found, kind, *__: kind != "table" or found in schema.table_names,
                "compare_server_default": True,
            },
        )
        assert compare_metadata(ours, SQLModel.metadata) == []
        made_by_revisions = definitions(connection)
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))
    # Alembic overlooks what an index is limited to, and how text is sorted. The database itself does not.
    drop_everything(empty)
    create_tables(empty, schema.tables)
    with empty.changing_tables() as connection:
        assert made_by_revisions == definitions(connection)


class TestMigrate:
    def test_database_when_migrated_already_then_it_is_left_alone(self, empty: Database) -> None:
        migrate(empty, KERNEL_SCHEMA)

        again = migrate(empty, KERNEL_SCHEMA)

        assert again == Migrated(KERNEL_SCHEMA.revision, KERNEL_SCHEMA.revision)

    def test_database_when_migrated_twice_at_once_then_once(self, databases: Databases, empty: Database) -> None:
        def migrate_it(_: int) -> str | None:
            with closing(Database(databases.url("empty", ()), MIGRATING)) as database:
                return migrate(database, KERNEL_SCHEMA).before

        with ThreadPoolExecutor(4) as threads:
            before = list(threads.map(migrate_it, range(4)))

        assert sorted(map(str, before)) == sorted(["None", *[KERNEL_SCHEMA.revision] * 3])
        assert why_unusable(empty, KERNEL_SCHEMA) is None

    def test_database_when_a_newer_version_has_migrated_it_then_it_is_left_alone(self, empty: Database) -> None:
        migrate(empty, KERNEL_SCHEMA)
        with empty.changing_tables() as connection:
            connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = 'kernel_9999'"))

        with pytest.raises(UnknownRevision, match="is at revision kernel_9999, which this version does not know"):
            migrate(empty, KERNEL_SCHEMA)

        needed = KERNEL_SCHEMA.revision
        assert why_unusable(empty, KERNEL_SCHEMA) == f"is at revision kernel_9999, this version needs {needed}"

    def test_database_when_it_has_no_tables_then_it_says_so(self, empty: Database) -> None:
        assert why_unusable(empty, KERNEL_SCHEMA) == "has no tables yet"


class TestBeforeMigrations:
    """A SQLite file that a service of that time has made."""

    @pytest.fixture
    def back_end(self) -> str:
        return "sqlite"

    def test_file_when_migrated_then_it_counts_as_the_first_revision_and_keeps_its_rows(self, tmp_path: Path) -> None:
        with closing(Database(f"sqlite:///{tmp_path}/old.db")) as old:
            create_tables(old, KERNEL_SCHEMA.tables)
            with old.writing() as session:
                for later in ("INDEX commands_accepted", "INDEX commands_undoing", "INDEX events_of_saga"):
                    session.connection().execute(text(f"DROP {later}"))
                session.connection().execute(text("ALTER TABLE commands DROP COLUMN position"))
                session.connection().execute(text("INSERT INTO log VALUES ('old', '2026-01-01 00:00:00.000000')"))
            assert why_unusable(old, KERNEL_SCHEMA) == f"is at no revision, this version needs {KERNEL_SCHEMA.revision}"

            migrated = migrate(old, KERNEL_SCHEMA)

            assert migrated == Migrated("kernel_0001", KERNEL_SCHEMA.revision)
            assert why_unusable(old, KERNEL_SCHEMA) is None
            with old.reading() as session:
                assert session.connection().execute(text("SELECT log_id FROM log")).scalar_one() == "old"


def test_gateway_when_it_has_books_from_before_refunds_then_they_are_kept(empty: Database) -> None:
    schema = schema_of(DatabaseName.GATEWAY)
    migrate(empty, schema)
    with empty.changing_tables() as connection:
        for undo in (
            "DROP TABLE gateway_refunds",
            "ALTER TABLE gateway_holds DROP COLUMN refuses_refunds",
            f"UPDATE {VERSION_TABLE} SET version_num = 'gateway_0001'",
            "INSERT INTO gateway_holds VALUES ('key', 'order', 'CAPTURED', 2500, 'EUR', false)",
        ):
            connection.execute(text(undo))

    migrated = migrate(empty, schema)

    assert migrated == Migrated("gateway_0001", schema.revision)
    with empty.reading() as session:
        (row,) = session.connection().execute(text("SELECT amount_minor, refuses_refunds FROM gateway_holds")).all()
    assert (row[0], bool(row[1])) == (2500, False)


def definitions(connection: Connection) -> list[tuple[Any, ...]]:
    """All that the database knows of its tables."""
    queries = _ON_SQLITE if connection.dialect.name == "sqlite" else _ON_POSTGRES
    found = [tuple(map(_unordered, row)) for query in queries for row in connection.execute(text(query))]
    if ("table", "sqlite_stat1") in [row[:2] for row in found]:
        found += [tuple(row) for row in connection.execute(text("SELECT tbl, idx, stat FROM sqlite_stat1"))]
    # A column that was added stands there with other blanks around it than one that was there from the start.
    plain = [tuple(" ".join(cell.split()) if isinstance(cell, str) else cell for cell in row) for row in found]
    return sorted(row for row in plain if not any(VERSION_TABLE in str(cell) for cell in row))


def _unordered(cell: Any) -> Any:
    """SQLite keeps the text that made a table, and writes a column that was added later behind all constraints."""
    if not (isinstance(cell, str) and cell.startswith("CREATE TABLE")):
        return cell
    parts, depth = [""], 0
    for character in cell:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 1:
            parts.append("")
        else:
            parts[-1] += character
    return sorted(" ".join(part.removesuffix(")").split()) for part in parts)


_ON_SQLITE = ["SELECT type, name, sql FROM sqlite_schema WHERE sql IS NOT NULL"]
_ON_POSTGRES = [
    "SELECT table_name, column_name, ordinal_position, data_type, character_maximum_length, is_nullable, collation_name"
    " FROM information_schema.columns WHERE table_schema = 'public'",
    "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
    "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint"
    " WHERE connamespace = 'public'::regnamespace",
    "SELECT sequencename::text, data_type::text FROM pg_sequences WHERE schemaname = 'public'",
]
