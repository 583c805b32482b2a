"""On which back end a test's databases are. A module that gains nothing from a second one overrides `back_end`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import Databases, PostgresServer, databases_on, require_postgres

ON_POSTGRES = pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.integration])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    require_postgres()
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(params=["sqlite", ON_POSTGRES], scope="module")
def back_end(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def databases(back_end: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Databases]:
    """The test's own, empty but for their tables."""
    server = request.getfixturevalue("postgres_server") if back_end == "postgres" else None
    with databases_on(tmp_path, server) as databases:
        yield databases
