"""The audit of a whole system: orders that ended in every way are clean; what is forged behind its back is found."""

import json
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from contracts.audits import Invariant, Judgement, SystemAudit
from contracts.sagas import SagaStatus
from services.kernel import event_log
from services.kernel.database import Database
from services.kernel.event_log import Origin
from services.order.events import OrderConfirmed
from services.order.handlers import ORDER
from tests.support.eventually import eventually
from tests.support.shop import Shop, open_shop
from tests.support.system import System, run_verb, running_system

pytestmark = pytest.mark.e2e

NO_RELEASE = {"step": "authorize_payment", "phase": "compensation", "kind": "error", "times": "always"}
OUT_OF_STOCK = {"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"}
ENDINGS: list[tuple[SagaStatus, dict[str, Any]]] = [
    (SagaStatus.COMPLETED, {}),
    (SagaStatus.COMPLETED, {"carrier": "by_event"}),
    (SagaStatus.COMPLETED, {"faults": [{"step": "capture_payment", "kind": "lost_reply"}]}),
    (SagaStatus.COMPENSATED, {"payment_token": "tok_declined"}),
    (SagaStatus.COMPENSATED, {"payment_token": "tok_expires_before_capture"}),
    (SagaStatus.COMPENSATED, {"faults": [OUT_OF_STOCK]}),
    (SagaStatus.COMPENSATED, {"faults": [{"step": "book_shipment", "kind": "error", "times": "always"}]}),
]


@pytest.fixture
async def own(tmp_path: Path) -> AsyncIterator[System]:
    """A system of this test's own, since what is forged in it is there to stay."""
    settings = {"NOTIFICATIONS_URL": "http://127.0.0.1:9", "AUDIT_GRACE_S": "1"}
    async with running_system(tmp_path / "own", settings) as system:
        yield system


async def audit_of(system: System) -> SystemAudit:
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        response = await http.get(f"{system.urls.api}/audit")
    assert response.status_code == httpx.codes.OK, response.text
    return SystemAudit.model_validate_json(response.content)


def broken(judged: SystemAudit) -> dict[Invariant, set[str]]:
    return {
        one.invariant: {event for finding in one.findings for event in finding.events}
        for one in judged.invariants
        if one.verdict is Judgement.BROKEN
    }


async def test_everything_when_orders_ended_in_every_way_holds_and_a_forged_event_is_found(own: System) -> None:
    async with open_shop(own) as shop:
        for status, changes in ENDINGS:
            await shop.until_clean(await shop.order(wait_s=20, **changes), status)
        stuck = await shop.order(faults=[OUT_OF_STOCK, NO_RELEASE])
        await shop.until(stuck, SagaStatus.STUCK)
        cancelled = await shop.order(faults=[{"step": "capture_payment", "kind": "error", "times": 50}])
        await shop.cancel(cancelled)
        await shop.until_clean(cancelled, SagaStatus.COMPENSATED)

        on_its_way = await audit_of(own)
        await shop.decide(stuck, "authorize_payment", "skip")
        await shop.until_clean(stuck, SagaStatus.FORCED)
        ended = await audit_of(own)
        completed = await shop.order(wait_s=20)

    assert (on_its_way.verdict, on_its_way.waits_for) == (Judgement.HOLDS, ()), broken(on_its_way)
    assert (on_its_way.orders.completed, on_its_way.orders.compensated, on_its_way.orders.in_flight) == (3, 5, 1)
    assert ended.verdict is Judgement.HOLDS, broken(ended)
    assert (ended.orders.forced, ended.orders.in_flight) == (1, 0)
    assert run_verb("audit", data_dir=own.data_dir).returncode == 0

    forged = _confirm_again(own, str(completed.order_id))

    assert broken(await audit_of(own))[Invariant.ONCE] >= {forged}
    verb = run_verb("audit", data_dir=own.data_dir)
    assert (verb.returncode, forged in verb.stdout) == (1, True)
    await eventually(lambda: _drifts(own), within_s=10)
    assert any(forged in drift["events"] for drift in _drifts(own))
    async with httpx.AsyncClient(trust_env=False) as http:
        metrics = (await http.get(f"{own.urls.views}/metrics")).text
    assert 'amends_audit_findings{invariant="once"} 1.0' in metrics


async def test_shared_system_when_audited_is_not_broken(system: System, shop: Shop) -> None:
    """Whatever the other tests have done to it."""
    await shop.until_clean(await shop.order(wait_s=20), SagaStatus.COMPLETED)

    judged = await audit_of(system)

    assert broken(judged) == {}


def _confirm_again(system: System, order_id: str) -> str:
    """As somebody with the order service's database could; the event, as audits name it."""
    with closing(Database(f"sqlite:///{system.data_dir}/order.db")) as database, database.writing() as session:
        head = event_log.head(session, order_id)
        origin = Origin(f"order-{order_id}:confirm_order", "ConfirmOrder", f"order-{order_id}")
        event_log.append(session, ORDER, order_id, [OrderConfirmed()], expected_version=head, origin=origin)
    return f"order {order_id}:{head + 1}"


def _drifts(system: System) -> list[dict[str, Any]]:
    lines = (system.data_dir / "logs" / "views.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines if line.startswith("{")]
    return [entry for entry in entries if entry["event"] == "audit drift" and entry["kind"] == "found"]
