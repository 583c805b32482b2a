"""What only a server can do to a service: go away, come back, end its connections, undo its transactions, be full."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, closing, contextmanager

import httpx
import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session

from contracts.wire import STANDING_BY
from messaging.port import NotNow
from services.kernel import event_log
from services.kernel.database import CLASH_ATTEMPTS, Database
from services.kernel.errors import TransactionClash, TryLater
from services.kernel.patience import Patience
from services.kernel.postgres import READERS, SILENCE_S
from services.order.app import create_app as create_order_app
from services.views.app import SERVICES
from services.views.app import create_app as create_views_app
from tests.support.consuming import Consuming, fact, page
from tests.support.databases import Databases, behind, end_connections, postgres_address
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt, Service, in_memory
from tests.support.service_process import service_process
from tests.support.stock import receive, stock_of
from tests.support.tcp_gate import TcpGate

pytestmark = [pytest.mark.integration, pytest.mark.postgres]


@pytest.fixture(scope="module")
def back_end() -> str:
    return "postgres"


@pytest.fixture
async def gate() -> AsyncIterator[TcpGate]:
    async with TcpGate.before(*postgres_address()) as gate:
        yield gate


def assert_unavailable(response: httpx.Response) -> None:
    assert (response.status_code, response.json()["code"]) == (503, "DATABASE_UNAVAILABLE"), response.text
    assert int(response.headers["Retry-After"]) > 0


class TestAway:
    async def test_service_when_its_database_is_away_then_503_and_it_recovers_by_itself(
        self, databases: Databases, gate: TcpGate
    ) -> None:
        app = create_order_app(database_url=behind(gate, databases.url("order")), fault_injection=False)
        async with in_memory(app) as order:
            saga, waiting = SagaAt(order), SagaAt(order)
            await saga.send(saga.commands.place_order())

            await gate.close()
            assert_unavailable(await waiting.send(waiting.commands.place_order()))
            for path in ("/events", f"/streams/{saga.order_id}", "/health/ready"):
                assert_unavailable(await order.http.get(path))
            assert (await order.http.get("/health/live")).is_success

            await gate.open()
            assert await waiting.outcome(waiting.commands.place_order()) == "done"
            assert (await order.http.get("/health/ready")).is_success
            assert len((await order.http.get("/events")).json()) == 2

    async def test_reader_when_the_database_goes_away_while_he_waits_then_503(
        self, databases: Databases, gate: TcpGate
    ) -> None:
        app = create_order_app(database_url=behind(gate, databases.url("order")), fault_injection=False)
        async with in_memory(app) as order:
            waiting = asyncio.create_task(order.http.get("/events", params={"wait": 30}, timeout=60))
            await eventually(lambda: gate.connections)

            await gate.close()

            assert_unavailable(await asyncio.wait_for(waiting, 20))

    async def test_queries_when_the_database_is_away_then_503_and_they_recover(
        self, databases: Databases, gate: TcpGate
    ) -> None:
        nowhere = dict.fromkeys(SERVICES, "http://127.0.0.1:9")
        app = create_views_app(database_url=behind(gate, databases.url("views")), feed_urls=nowhere)
        async with in_memory(app) as views:
            await gate.close()
            for path in ("/views/orders", "/health/ready"):
                assert_unavailable(await views.http.get(path))
            response = await views.http.get("/dead-letters")
            # It may have noticed by now that it has lost its lock, or may not.
            assert (response.status_code, response.json()["code"] in ("NOT_NOW", STANDING_BY)) == (503, True)
            assert int(response.headers["Retry-After"]) > 0

            await gate.open()
            assert (await views.http.get("/views/orders")).json()["orders"] == []
            assert (await views.http.get("/health/ready")).is_success

    async def test_consumer_when_its_database_is_away_then_it_parks_nothing_and_goes_on(
        self, databases: Databases, gate: TcpGate
    ) -> None:
        consuming = Consuming(_Through(gate, databases))
        with closing(consuming.database):
            await consuming.consumer.take(page(fact("a", 1, 1)))

            await gate.close()
            with pytest.raises(NotNow):
                await consuming.consumer.take(page(fact("a", 2, 2)))

            await gate.open()
            await consuming.consumer.take(page(fact("a", 2, 2)))
            assert await asyncio.to_thread(consuming.taken) == [("a", 1), ("a", 2)]  # the gate needs this one
            assert await consuming.consumer.parked() == []

    async def test_command_when_the_database_goes_away_within_it_then_nothing_is_left_half_done(
        self, databases: Databases, gate: TcpGate
    ) -> None:
        url = databases.url("order")
        app = create_order_app(database_url=behind(gate, url), fault_injection=False)
        async with in_memory(app) as order:
            saga = SagaAt(order)
            with holding_the_write_lock(url):
                sending = asyncio.create_task(saga.send(saga.commands.place_order()))
                await eventually(lambda: waits_for_a_lock(url))
                await gate.close()
                assert (await sending).status_code == 503

            await gate.open()
            assert await saga.events() == []
            assert await saga.outcome(saga.commands.place_order()) == "done"


class TestTerminated:
    async def test_service_when_its_idle_connections_are_ended_then_nobody_notices(
        self, databases: Databases, order: Service
    ) -> None:
        sagas = [SagaAt(order) for _ in range(READERS)]
        await asyncio.gather(*(saga.send(saga.commands.place_order()) for saga in sagas))
        await asyncio.gather(*(order.http.get("/events") for _ in range(READERS)))

        end_connections(databases.url("order"))

        outcomes = await asyncio.gather(*(saga.outcome(saga.commands.confirm_order()) for saga in sagas))
        assert set(outcomes) == {"done"}
        assert all(answer.is_success for answer in [await order.http.get("/events") for _ in range(READERS)])

    async def test_command_when_its_connection_is_ended_then_503_and_once_again_is_one_effect(
        self, databases: Databases, order: Service
    ) -> None:
        url, saga = databases.url("order"), SagaAt(order)
        with holding_the_write_lock(url) as let_go:
            sending = asyncio.create_task(saga.send(saga.commands.place_order()))
            await eventually(lambda: waits_for_a_lock(url))
            end_connections(url)
            assert (await sending).status_code == 503
            let_go.set()

        assert await saga.outcome(saga.commands.place_order()) == "done"
        assert await saga.events() == ["OrderPlaced"]


class TestContention:
    async def test_command_when_a_writer_is_cancelled_then_its_transaction_has_ended_and_the_lock_is_free(
        self, databases: Databases
    ) -> None:
        began, ended = threading.Event(), threading.Event()

        def linger(session: Session) -> None:
            session.connection().execute(text("INSERT INTO log VALUES ('lingering', now())"))
            began.set()
            session.connection().execute(text("SELECT pg_sleep(0.3)"))
            ended.set()

        with closing(Database(databases.url("order"))) as database:
            writing = asyncio.create_task(database.write(linger))
            await eventually(began.is_set)
            for _ in range(2):
                writing.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await writing

            assert ended.is_set()
            await database.write(lambda session: session.connection().execute(text("DELETE FROM log")))

    async def test_database_when_a_proxy_keeps_up_connections_that_are_lost_then_they_are_given_up(
        self, databases: Databases, gate: TcpGate
    ) -> None:
        patience = Patience(lock_s=1, queue_s=1, statement_s=1)
        with closing(Database(behind(gate, databases.url("order")), patience)) as database:
            await database.write(event_log.ensure_log_id)
            lock = database.sole_lock()
            assert await lock.take()

            gate.lose_far_ends()
            writing = asyncio.ensure_future(database.write(event_log.log_id))
            assert not await asyncio.wait_for(asyncio.shield(lock.is_held()), SILENCE_S + 5)
            await asyncio.wait_for(asyncio.shield(writing), SILENCE_S + 5)
            await lock.release()
            assert await lock.take()
            await lock.release()

    async def test_event_loop_when_the_database_is_slow_then_it_goes_on(self, databases: Databases) -> None:
        with closing(Database(databases.url("order"))) as database:
            reading = asyncio.create_task(
                database.read(lambda session: session.connection().execute(text("SELECT pg_sleep(0.5)")).all())
            )
            turns = 0
            while not reading.done():
                await asyncio.sleep(0.001)
                turns += 1

        assert turns > 20

    async def test_readers_when_all_connections_are_taken_then_try_later_and_then_served(
        self, databases: Databases
    ) -> None:
        with closing(Database(databases.url("order"))) as database:
            occupied, let_go = threading.Semaphore(0), threading.Event()

            def occupy(session: Session) -> None:
                session.connection()
                occupied.release()
                let_go.wait(30)

            occupying = [asyncio.create_task(database.read(occupy)) for _ in range(READERS)]
            for _ in occupying:
                await eventually(lambda: occupied.acquire(blocking=False))
            with pytest.raises(TryLater, match="no connection became free within 3 s"):
                await database.read(lambda session: None)
            # Writers have theirs.
            await database.write(lambda session: session.connection())
            let_go.set()
            await asyncio.gather(*occupying)

            await database.read(lambda session: session.connection())

    async def test_writers_when_many_wait_then_readers_are_served(self, databases: Databases, order: Service) -> None:
        url = databases.url("order")
        with holding_the_write_lock(url):
            sagas = [SagaAt(order) for _ in range(20)]
            writing = [asyncio.create_task(saga.send(saga.commands.place_order())) for saga in sagas]
            await eventually(lambda: waits_for_a_lock(url))

            assert (await order.http.get("/events")).is_success

            answers = {(await answer).json()["code"] for answer in writing}
        assert answers == {"DATABASE_BUSY"}

    async def test_transaction_when_it_loses_a_deadlock_then_it_is_tried_again(self, databases: Databases) -> None:
        url, tries = databases.url("order"), []
        crossing = threading.Event()

        def cross() -> None:
            with psycopg.connect(url) as other:
                other.execute("SET deadlock_timeout = '60s'")  # so that the other side finds it out, and loses
                other.execute("UPDATE log SET created_at = now() WHERE log_id = 'b'")
                crossing.set()
                other.execute("UPDATE log SET created_at = now() WHERE log_id = 'a'")

        def collide(session: Session) -> None:
            tries.append(session)
            connection = session.connection()
            connection.exec_driver_sql("SET LOCAL deadlock_timeout = '10ms'")
            connection.exec_driver_sql("UPDATE log SET created_at = now() WHERE log_id = 'a'")
            if len(tries) == 1:
                other.start()
                assert crossing.wait(10)
                asyncio.run(eventually(lambda: waits_for_a_lock(url)))
            connection.exec_driver_sql("UPDATE log SET created_at = now() WHERE log_id = 'b'")

        other = threading.Thread(target=cross)
        with closing(Database(url)) as database:
            await database.write(lambda session: session.connection().execute(TWO_ROWS))
            await database.write(collide)
        other.join()

        assert len(tries) == 2

    async def test_transaction_when_it_cannot_be_serialised_then_it_is_tried_again_within_limits(
        self, databases: Databases
    ) -> None:
        url, tries, collisions = databases.url("order"), 0, 1

        def collide(session: Session) -> None:
            nonlocal tries
            tries += 1
            connection = session.connection()
            # The write lock goes, which alone keeps this from happening.
            connection.exec_driver_sql("COMMIT")
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.exec_driver_sql("SELECT * FROM log")
            if tries <= collisions:
                with psycopg.connect(url, autocommit=True) as other:
                    other.execute("UPDATE log SET created_at = now() WHERE log_id = 'a'")
            connection.exec_driver_sql("UPDATE log SET created_at = now() WHERE log_id = 'a'")

        with closing(Database(url)) as database:
            await database.write(lambda session: session.connection().execute(TWO_ROWS))
            await database.write(collide)
            assert tries == 2

            tries, collisions = 0, CLASH_ATTEMPTS
            with pytest.raises(TransactionClash) as raised:
                await database.write(collide)
            assert (tries, raised.value.code) == (CLASH_ATTEMPTS, "DATABASE_BUSY")


class TestTwoProcesses:
    """Two replicas, each a process of its own, on one database."""

    @pytest.fixture
    async def replicas(self, databases: Databases) -> AsyncIterator[list[Service]]:
        arguments = {"database_url": databases.url("shipping"), "stock_file": None, "fault_injection": False}
        async with AsyncExitStack() as stack:
            running = [await stack.enter_async_context(service_process("shipping", **arguments)) for _ in range(2)]
            yield [replica.service for replica in running]

    async def test_last_units_when_sagas_want_them_at_two_replicas_then_each_is_taken_once(
        self, replicas: list[Service]
    ) -> None:
        sku = await receive(replicas[0], 10)
        sagas = [SagaAt(replica) for _ in range(25) for replica in replicas]

        outcomes = await asyncio.gather(*(saga.outcome(saga.commands.book_shipment((sku, 1))) for saga in sagas))

        assert (outcomes.count("done"), outcomes.count("OUT_OF_STOCK")) == (10, 40)
        for replica in replicas:
            assert await stock_of(replica, sku) == {"received": 10, "on_hand": 0, "booked": 10, "dispatched": 0}

    async def test_action_and_undo_when_they_meet_at_two_replicas_then_no_unit_is_lost(
        self, replicas: list[Service]
    ) -> None:
        one, other = replicas
        sku = await receive(one, 100)
        booking = [SagaAt(one) for _ in range(30)]
        undoing = [SagaAt(other, saga.commands) for saga in booking]

        outcomes = await asyncio.gather(
            *(saga.outcome(saga.commands.book_shipment((sku, 3))) for saga in booking),
            *(saga.outcome(saga.commands.cancel_shipment()) for saga in undoing),
        )

        pairs = set(zip(outcomes[:30], outcomes[30:], strict=True))
        assert pairs <= {("done", "done"), ("ALREADY_COMPENSATED", "nothing_to_undo")}
        assert (await stock_of(other, sku))["on_hand"] == 100

    async def test_action_when_sent_to_both_replicas_at_once_then_one_effect_and_equal_replies(
        self, replicas: list[Service]
    ) -> None:
        sku = await receive(replicas[0], 100)
        first = SagaAt(replicas[0])
        twins = [first, SagaAt(replicas[1], first.commands)] * 10

        replies = await asyncio.gather(*(saga.send(saga.commands.book_shipment((sku, 3))) for saga in twins))

        assert {(reply.status_code, reply.content) for reply in replies} == {(200, replies[0].content)}
        assert (await stock_of(replicas[1], sku))["on_hand"] == 97


TWO_ROWS = text("INSERT INTO log VALUES ('a', now()), ('b', now())")


class _Through:
    """Databases behind a gate."""

    def __init__(self, gate: TcpGate, databases: Databases) -> None:
        self._gate = gate
        self._databases = databases

    def url(self, name: str, tables: object = None) -> str:
        return behind(self._gate, self._databases.url(name, tables))  # type: ignore[arg-type]


@contextmanager
def holding_the_write_lock(url: str) -> Iterator[threading.Event]:
    """Somebody else's transaction, in a thread of its own, until the context ends."""
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(Database(url)) as database:
            try:
                with database.writing() as session:
                    session.connection()
                    held.set()
                    let_go.wait(30)
            except TryLater:
                assert let_go.is_set()  # its connection was ended with all others

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert held.wait(10)
        yield let_go
    finally:
        let_go.set()
        thread.join()


def waits_for_a_lock(url: str) -> bool:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return bool(found and found[0])
