"""What a chaos run does to connections: ours are cut, and nobody else's."""

from pathlib import Path

import aio_pika
import psycopg
import pytest

from messaging.rabbit.connection import Line, line_to
from proof.errors import CannotProve
from run.disturbance import cut_off_from_database, cut_off_from_rabbitmq
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.rabbitmq import own_rabbitmq

pytestmark = [pytest.mark.integration]


@pytest.fixture(scope="module")
def back_end() -> str:
    return "postgres"


@pytest.mark.postgres
def test_connections_to_a_database_when_cut_are_gone_and_others_untouched(databases: Databases) -> None:
    ours, others = (psycopg.connect(databases.url(name), autocommit=True) for name in ("order", "shipping"))
    with others:
        cut_off_from_database(databases.url("order"))

        with pytest.raises(psycopg.OperationalError):
            ours.execute("SELECT 1")
        assert others.execute("SELECT 1").fetchone() == (1,)
    with psycopg.connect(databases.url("order")) as again:
        assert again.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.rabbit
async def test_connections_to_rabbitmq_when_cut_are_gone_and_others_untouched(tmp_path: Path) -> None:
    async def declare(broker: object) -> None:
        """Nothing."""

    async with (
        own_rabbitmq(tmp_path) as rabbitmq,
        line_to(rabbitmq.url, declare, name="ours.views") as ours,
        line_to(rabbitmq.url, declare, name="ours2.views") as others,
        await aio_pika.connect(rabbitmq.url) as nameless,
    ):

        def is_lost(line: Line) -> bool:
            # The plugin hears of a connection a moment after it was made.
            cut_off_from_rabbitmq(rabbitmq.management_url, exchange="ours")
            return line.lost.done()

        await eventually(lambda: is_lost(ours), within_s=30, every_s=0.2)

        await others.broker.publish("x", "nowhere", mandatory=False)
        assert not others.lost.done()
        await (await nameless.channel()).close()


def test_connections_when_nobody_can_cut_them_say_so() -> None:
    nowhere = "127.0.0.1:9"

    with pytest.raises(CannotProve, match="connections to order cannot be cut"):
        cut_off_from_database(f"postgresql://postgres@{nowhere}/order")
    with pytest.raises(CannotProve, match=f"connections to RabbitMQ cannot be cut by http://{nowhere}"):
        cut_off_from_rabbitmq(f"http://{nowhere}", exchange="ours")
