"""Makes a database refuse rows, or think about them for longer than any test takes. Stands for whatever goes wrong."""

import sqlite3
from contextlib import closing
from typing import Protocol

import psycopg
from sqlalchemy import make_url


class Sabotage(Protocol):
    def refuse(self, table: str, when: str = "true") -> None:
        """From now on no row can be added to the table for which the condition holds; `NEW` is the row."""

    def stall(self, table: str, when: str) -> None:
        """From now on whoever adds such a row waits in the middle of a transaction."""

    def is_stalling(self) -> bool:
        """Whether somebody waits there."""

    def end(self) -> None: ...


def sabotage_of(url: str) -> Sabotage:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _OnSqlite(parsed.database or "")
    return _OnPostgres(url)


class _OnSqlite:
    def __init__(self, file: str) -> None:
        self._file = file

    def refuse(self, table: str, when: str = "true") -> None:
        self._trigger(table, when, "SELECT RAISE(ABORT, 'sabotage')")

    def stall(self, table: str, when: str) -> None:
        self._trigger(table, when, f"SELECT count(*) FROM {', '.join(f'{table} t{n}' for n in range(4))}")

    def is_stalling(self) -> bool:
        with closing(sqlite3.connect(self._file, timeout=0)) as connection:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
        return False

    def end(self) -> None:
        self._execute("DROP TRIGGER sabotage")

    def _trigger(self, table: str, when: str, then: str) -> None:
        self._execute(f"CREATE TRIGGER sabotage BEFORE INSERT ON {table} WHEN {when} BEGIN {then}; END")

    def _execute(self, statement: str) -> None:
        with closing(sqlite3.connect(self._file, timeout=10)) as connection, connection:
            connection.execute(statement)


class _OnPostgres:
    def __init__(self, url: str) -> None:
        self._url = url

    def refuse(self, table: str, when: str = "true") -> None:
        self._trigger(table, when, "RAISE EXCEPTION 'sabotage' USING ERRCODE = 'integrity_constraint_violation'")

    def stall(self, table: str, when: str) -> None:
        self._trigger(table, when, "PERFORM pg_sleep(60)")

    def is_stalling(self) -> bool:
        return bool(self._execute(f"SELECT count(*) FROM pg_stat_activity WHERE {_SLEEPS}")[0][0])

    def end(self) -> None:
        self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_SLEEPS}")
        self._execute("DROP FUNCTION sabotage CASCADE")

    def _trigger(self, table: str, when: str, then: str) -> None:
        self._execute(f"CREATE FUNCTION sabotage() RETURNS trigger AS 'BEGIN {_quoted(then)}; END' LANGUAGE plpgsql")
        self._execute(
            f"CREATE TRIGGER sabotage BEFORE INSERT ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION sabotage()"
        )

    def _execute(self, statement: str) -> list[tuple[int]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


_SLEEPS = "datname = current_database() AND wait_event = 'PgSleep'"


def _quoted(statement: str) -> str:
    return statement.replace("'", "''")
