"""The payment process dies after the gateway acted and before it could record it. Nothing leaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing

import httpx
import pytest
from sqlalchemy import text

from contracts.base import Contract
from contracts.faults import Fault, FaultKind
from contracts.wire import ALREADY_COMPENSATED
from services.kernel.database import Database
from tests.integration.services.barrier_behaviour import assert_gateway_agrees
from tests.support.builders import ReturnCommands, SagaCommands
from tests.support.databases import Databases
from tests.support.eventually import eventually
from tests.support.service_client import SagaAt
from tests.support.service_process import RunningService, service_process

pytestmark = pytest.mark.integration

LONGER_THAN_THE_TEST_S = 60


class Site:
    """A payment service that can be killed and started again on the same data."""

    def __init__(self, databases: Databases) -> None:
        self._databases = databases
        self.commands = SagaCommands()
        self.returning = ReturnCommands(self.commands.order_id)

    @asynccontextmanager
    async def payment(self, *, gateway_reply_delay_s: float = 0) -> AsyncIterator[tuple[RunningService, SagaAt]]:
        async with service_process(
            "payment",
            database_url=self._databases.url("payment"),
            gateway_database_url=self._databases.url("gateway"),
            fault_injection=True,
            gateway_reply_delay_s=gateway_reply_delay_s,
        ) as running:
            yield running, SagaAt(running.service, self.commands)

    async def die_before_recording(self, command: Contract, gateway_table: str) -> None:
        """Sends the command, and kills the service as soon as the gateway has it in its books."""
        async with self.payment(gateway_reply_delay_s=LONGER_THAN_THE_TEST_S) as (running, saga):
            sender = SagaAt(saga.service, self.returning) if gateway_table == "gateway_refunds" else saga
            call = asyncio.create_task(sender.send(command))
            await eventually(lambda: self._gateway_rows(gateway_table) == 1)
            await running.kill()
            with pytest.raises(httpx.TransportError):
                await call

    @asynccontextmanager
    async def refunding(self) -> AsyncIterator[SagaAt]:
        async with self.payment() as (_, saga):
            yield SagaAt(saga.service, self.returning)

    async def capture(self) -> None:
        async with self.payment() as (_, saga):
            for command in (self.commands.authorize_payment(), self.commands.capture_payment()):
                assert await saga.outcome(command) == "done"

    def take_gateway_back_before_refunds(self) -> None:
        with closing(Database(self._databases.url("gateway"))) as database, database.writing() as session:
            session.connection().execute(text("DELETE FROM gateway_refunds"))

    def take_gateway_back_before_captures(self) -> None:
        with closing(Database(self._databases.url("gateway"))) as database, database.writing() as session:
            session.connection().execute(text("DELETE FROM gateway_captures"))
            session.connection().execute(text("UPDATE gateway_holds SET state = 'HELD'"))

    def _gateway_rows(self, table: str) -> int:
        with closing(Database(self._databases.url("gateway"))) as database, database.reading() as session:
            return int(session.connection().execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


@pytest.fixture
def site(databases: Databases) -> Site:
    return Site(databases)


async def test_authorize_when_killed_before_recording_and_sent_again_then_one_hold(site: Site) -> None:
    await site.die_before_recording(site.commands.authorize_payment(), "gateway_holds")

    async with site.payment() as (_, saga):
        assert await saga.outcome(saga.commands.authorize_payment()) == "done"

        assert await saga.events() == ["PaymentAuthorized"]
        await assert_gateway_agrees(saga.service, saga.order_id)
        assert await saga.outcome(saga.commands.release_payment()) == "done"
        await assert_gateway_agrees(saga.service, saga.order_id)


async def test_authorize_when_killed_before_recording_and_a_refusal_is_injected_then_it_is_not_denied(
    site: Site,
) -> None:
    await site.die_before_recording(site.commands.authorize_payment(), "gateway_holds")

    async with site.payment() as (_, saga):
        refuse = Fault(step="authorize_payment", kind=FaultKind.REFUSE)
        assert await saga.outcome(saga.commands.authorize_payment(), refuse) == "done"

        await assert_gateway_agrees(saga.service, saga.order_id)


async def test_authorize_when_killed_before_recording_and_only_released_then_no_hold_leaks(site: Site) -> None:
    await site.die_before_recording(site.commands.authorize_payment(), "gateway_holds")

    async with site.payment() as (_, saga):
        assert await saga.outcome(saga.commands.release_payment()) == "done"

        assert await saga.events() == ["PaymentAuthorized", "PaymentVoided"]
        await assert_gateway_agrees(saga.service, saga.order_id)
        assert await saga.outcome(saga.commands.authorize_payment()) == ALREADY_COMPENSATED
        assert await saga.outcome(saga.commands.release_payment()) == "done"


async def test_capture_when_killed_before_recording_and_sent_again_then_captured_once(site: Site) -> None:
    async with site.payment() as (_, saga):
        await saga.send(saga.commands.authorize_payment())
    await site.die_before_recording(site.commands.capture_payment(), "gateway_captures")

    async with site.payment() as (_, saga):
        assert await saga.outcome(saga.commands.capture_payment()) == "done"

        assert await saga.events() == ["PaymentAuthorized", "PaymentCaptured"]
        await assert_gateway_agrees(saga.service, saga.order_id)


async def test_capture_when_killed_before_recording_and_only_fenced_then_already_done(site: Site) -> None:
    async with site.payment() as (_, saga):
        await saga.send(saga.commands.authorize_payment())
    await site.die_before_recording(site.commands.capture_payment(), "gateway_captures")

    async with site.payment() as (_, saga):
        assert await saga.outcome(saga.commands.abandon_capture()) == "already_done"

        assert await saga.events() == ["PaymentAuthorized", "PaymentCaptured"]
        assert await saga.outcome(saga.commands.capture_payment()) == "done"
        assert await saga.outcome(saga.commands.release_payment()) == "PAYMENT_ALREADY_CAPTURED"
        await assert_gateway_agrees(saga.service, saga.order_id)


async def test_fence_when_killed_before_recording_then_the_capture_stays_impossible(site: Site) -> None:
    async with site.payment() as (_, saga):
        await saga.send(saga.commands.authorize_payment())
    # A capture that died before it reached the gateway: the intent is ours alone.
    await site.die_before_recording(site.commands.capture_payment(), "gateway_captures")
    site.take_gateway_back_before_captures()
    await site.die_before_recording(site.commands.abandon_capture(), "gateway_captures")

    async with site.payment() as (_, saga):
        assert await saga.outcome(saga.commands.capture_payment()) == ALREADY_COMPENSATED
        assert await saga.outcome(saga.commands.abandon_capture()) == "fenced"
        assert await saga.outcome(saga.commands.release_payment()) == "done"
        assert await saga.events() == ["PaymentAuthorized", "PaymentVoided"]
        await assert_gateway_agrees(saga.service, saga.order_id)


class TestRefund:
    CAPTURED = ("PaymentAuthorized", "PaymentCaptured")

    async def test_refund_when_killed_before_recording_and_sent_again_then_paid_back_once(self, site: Site) -> None:
        await site.capture()
        await site.die_before_recording(site.returning.refund_payment(), "gateway_refunds")

        async with site.refunding() as saga:
            assert await saga.outcome(site.returning.refund_payment()) == "done"

            assert await saga.events() == [*self.CAPTURED, "PaymentRefunded"]
            await assert_gateway_agrees(saga.service, saga.order_id)

    async def test_refund_when_killed_before_recording_and_only_fenced_then_already_done(self, site: Site) -> None:
        await site.capture()
        await site.die_before_recording(site.returning.refund_payment(), "gateway_refunds")

        async with site.refunding() as saga:
            assert await saga.outcome(site.returning.abandon_refund()) == "already_done"

            assert await saga.events() == [*self.CAPTURED, "PaymentRefunded"]
            assert await saga.outcome(site.returning.refund_payment()) == "done"
            await assert_gateway_agrees(saga.service, saga.order_id)

    async def test_refund_when_killed_before_recording_and_another_saga_wants_it_then_that_is_refused(
        self, site: Site
    ) -> None:
        await site.capture()
        await site.die_before_recording(site.returning.refund_payment(), "gateway_refunds")

        async with site.refunding() as saga:
            other = ReturnCommands(site.commands.order_id)
            assert await SagaAt(saga.service, other).outcome(other.refund_payment()) == "ALREADY_REFUNDED"
            assert await saga.outcome(site.returning.refund_payment()) == "done"

            assert await saga.events() == [*self.CAPTURED, "PaymentRefunded"]
            await assert_gateway_agrees(saga.service, saga.order_id)

    async def test_fence_when_killed_before_recording_then_the_refund_stays_impossible(self, site: Site) -> None:
        await site.capture()
        # A refund that died before it reached the gateway: the intent is ours alone.
        await site.die_before_recording(site.returning.refund_payment(), "gateway_refunds")
        site.take_gateway_back_before_refunds()
        await site.die_before_recording(site.returning.abandon_refund(), "gateway_refunds")

        async with site.refunding() as saga:
            assert await saga.outcome(site.returning.refund_payment()) == ALREADY_COMPENSATED
            assert await saga.outcome(site.returning.abandon_refund()) == "fenced"
            assert await saga.events() == list(self.CAPTURED)
            await assert_gateway_agrees(saga.service, saga.order_id)
