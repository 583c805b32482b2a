"""What a chaos run does to connections, where there are any to cut."""

import psycopg
import pytest

from run.chaos import cut_connections
from tests.support.databases import Databases

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.fixture(scope="module")
def back_end() -> str:
    return "postgres"


def test_connections_when_cut_are_gone_and_others_untouched(databases: Databases) -> None:
    ours, others = (psycopg.connect(databases.url(name), autocommit=True) for name in ("order", "shipping"))
    with others:
        cut_connections(databases.url("order"))

        with pytest.raises(psycopg.OperationalError):
            ours.execute("SELECT 1")
        assert others.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(databases.url("order")) as again:
        assert again.execute("SELECT 1").fetchone() == (1,)
