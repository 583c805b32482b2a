"""Fresh databases for tests, with their tables, on either back end.

They are made from the metadata, which is faster than Alembic and comes to the same (test_migrations.py proves it).
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url
from sqlmodel import SQLModel

from run.databases import schema_of
from services.kernel.database import Database
from tests.support.tcp_gate import TcpGate

_END_CONNECTIONS = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)

Tables = Sequence[type[SQLModel]]

POSTGRES_URL = os.environ.get("AMENDS_TEST_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


class Databases(Protocol):
    """Of one test."""

    def url(self, name: str, tables: Tables | None = None) -> str:
        """Of the database of that name: a new one at first, later the same. Its tables are by default that part's."""


class SqliteDatabases:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._urls: dict[str, str] = {}

    def url(self, name: str, tables: Tables | None = None) -> str:
        if name not in self._urls:
            self._urls[name] = sqlite_database(self._folder, name, tables)
        return self._urls[name]


def sqlite_database(folder: Path, name: str, tables: Tables | None = None) -> str:
    """The URL of `<name>.db` in the folder, which has its tables."""
    url = f"sqlite:///{folder}/{name}.db"
    with closing(Database(url)) as database:
        create_tables(database, schema_of(name).tables if tables is None else tables)
    return url


def create_tables(database: Database, tables: Tables) -> None:
    """Those that do not exist yet."""
    with database.changing_tables() as connection:
        SQLModel.metadata.create_all(
            connection, tables=[SQLModel.metadata.tables[str(table.__tablename__)] for table in tables]
        )


class PostgresServer:
    """Lends databases, and takes them back when the test is over.

    A database that was lent before is wiped and lent again: to create and to drop one takes seconds where the disk has
    other things to do. For the same reason their commits do not wait for the disk, which shows only in a power cut.
    """

    def __init__(self) -> None:
        self._run = f"amends_test_{uuid4().hex[:12]}"
        self._connection = psycopg.connect(POSTGRES_URL, autocommit=True)
        self._free: dict[frozenset[str], list[str]] = defaultdict(list)
        self._names: list[str] = []

    def lend(self, tables: Tables) -> str:
        free = self._free[_key(tables)]
        if not free:
            return self._create(tables)
        name = free.pop()
        self._wipe(name)
        return name

    def take_back(self, name: str, tables: Tables) -> None:
        self._free[_key(tables)].append(name)

    def close(self) -> None:
        self._connection.close()
        # Side by side, because each waits for a checkpoint, and they share it.
        with ThreadPoolExecutor(max(1, len(self._names))) as threads:
            list(threads.map(_drop, self._names))

    def _create(self, tables: Tables) -> str:
        name = f"{self._run}_{len(self._names)}"
        self._connection.execute(_naming("CREATE DATABASE {}", name))
        self._names.append(name)
        self._connection.execute(_naming("ALTER DATABASE {} SET synchronous_commit = off", name))
        with closing(Database(postgres_url(name))) as database:
            create_tables(database, tables)
        return name

    def _wipe(self, name: str) -> None:
        with psycopg.connect(postgres_url(name), autocommit=True) as connection:
            connection.execute(_END_CONNECTIONS)
            tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
            connection.execute("DROP FUNCTION IF EXISTS sabotage CASCADE")  # left by a test that failed
            for (table,) in tables:
                connection.execute(_naming("DELETE FROM {}", table))
            connection.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")


class PostgresDatabases:
    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._lent: dict[str, tuple[str, Tables]] = {}

    def url(self, name: str, tables: Tables | None = None) -> str:
        if name not in self._lent:
            wanted = schema_of(name).tables if tables is None else tables
            self._lent[name] = self._server.lend(wanted), wanted
        return postgres_url(self._lent[name][0])

    def give_back(self) -> None:
        for name, tables in self._lent.values():
            self._server.take_back(name, tables)


def _drop(name: str) -> None:
    with psycopg.connect(POSTGRES_URL, autocommit=True) as connection:
        connection.execute(_naming("DROP DATABASE {} WITH (FORCE)", name))


def _key(tables: Tables) -> frozenset[str]:
    return frozenset(str(table.__tablename__) for table in tables)


def _naming(statement: str, name: str) -> sql.Composed:
    return sql.SQL(statement).format(sql.Identifier(name))


def postgres_url(database: str) -> str:
    return make_url(POSTGRES_URL).set(database=database).render_as_string(hide_password=False)


def behind(gate: TcpGate, url: str) -> str:
    """The same database, with the gate on the way to it."""
    return make_url(url).set(host="127.0.0.1", port=gate.port).render_as_string(hide_password=False)


def end_connections(url: str) -> None:
    """All but the one that does it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_END_CONNECTIONS)


def postgres_address() -> tuple[str, int]:
    url = make_url(POSTGRES_URL)
    return url.host or "127.0.0.1", url.port or 5432


@contextmanager
def databases_on(folder: Path, server: PostgresServer | None) -> Iterator[Databases]:
    """Lent for the time of the context."""
    if server is None:
        yield SqliteDatabases(folder)
        return
    lent = PostgresDatabases(server)
    yield lent
    lent.give_back()


def require_postgres() -> None:
    """Skips the test where no PostgreSQL answers. CI does not take a skipped test for a passed one."""
    try:
        psycopg.connect(POSTGRES_URL, connect_timeout=2).close()
    except psycopg.OperationalError:
        host, port = postgres_address()
        pytest.skip(f"no PostgreSQL answers at {host}:{port}; AMENDS_TEST_POSTGRES_URL names another")
