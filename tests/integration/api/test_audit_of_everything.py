"""The audit of everything: what the query side knows, what services and the gateway, what only Temporal can tell."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.audits import (
    Amiss,
    BarrierAudit,
    BookEntry,
    Finding,
    Findings,
    Invariant,
    InvariantAudit,
    Judgement,
    LedgerAudit,
    LogSeen,
    OrderAtRest,
    SystemAudit,
)
from contracts.sagas import SagaStatus
from tests.integration.api.bench import ApiBench, serving, settings_for
from tests.integration.api.test_events_and_audit import put_on_paper
from tests.support.forgery import Forgery
from tests.support.services_on_paper import ServicesOnPaper

pytestmark = pytest.mark.integration

LOGS = tuple(LogSeen(service=service, position=7, head=7) for service in ("order", "payment", "shipping"))


@pytest.fixture(autouse=True)
def clean(api: ApiBench) -> Iterator[None]:
    """Nothing is amiss until a test says so, nor afterwards."""
    _clean(api.paper)
    yield
    _clean(api.paper)


def _clean(paper: ServicesOnPaper) -> None:
    paper.views.audit = LedgerAudit(logs=LOGS, completed=3, compensated=2, open=0)
    paper.views.open_orders, paper.views.at_rest = [], {}
    paper.views.book, paper.gateway = [], []
    paper.barriers = {one: BarrierAudit(position=7, undos=2, tombstones=1) for one in paper.barriers}


async def audit(api: ApiBench) -> SystemAudit:
    response = await api.http.get("/audit")
    assert response.status_code == 200, response.text
    return SystemAudit.model_validate_json(response.content)


def of(judged: SystemAudit, invariant: Invariant) -> InvariantAudit:
    return next(one for one in judged.invariants if one.invariant is invariant)


def broken(judged: SystemAudit) -> set[Invariant]:
    return {one.invariant for one in judged.invariants if one.verdict is Judgement.BROKEN}


def unknown(judged: SystemAudit) -> set[Invariant]:
    return {one.invariant for one in judged.invariants if one.verdict is Judgement.UNKNOWN}


def left_open(api: ApiBench, order_id: object, invariant: Invariant = Invariant.SHIPPED, **changes: Any) -> OrderAtRest:
    """Lets the ledgers tell that the order is not settled."""
    amiss = Amiss(invariant=invariant, what="0 shipments dispatched", events=(f"order {order_id}:2",))
    order = OrderAtRest.model_validate(
        {
            "order_id": order_id,
            "saga_id": f"order-{order_id}",
            "since": datetime(2026, 1, 1, tzinfo=UTC),
            "amiss": (amiss,),
            **changes,
        }
    )
    api.paper.views.open_orders.append(order)
    api.paper.views.audit = api.paper.views.audit.model_copy(update={"open": len(api.paper.views.open_orders)})
    return order


async def test_audit_when_all_is_well_holds_with_evidence(api: ApiBench) -> None:
    judged = await audit(api)

    assert (judged.verdict, judged.waits_for) == (Judgement.HOLDS, ())
    assert [one.invariant for one in judged.invariants] == list(Invariant)
    assert {one.verdict for one in judged.invariants} == {Judgement.HOLDS}
    assert "order: 2 compensations and fences, 1 of them tombstones, up to position 7" in (
        of(judged, Invariant.TOMBSTONE).evidence
    )
    assert (judged.orders.completed, judged.orders.compensated, judged.logs) == (3, 2, LOGS)


async def test_finding_when_in_the_ledgers_is_broken(api: ApiBench) -> None:
    found = Finding(what="twice", events=("order x:2", "order x:3"), order_id=uuid4())
    group = Findings(invariant=Invariant.ONCE, count=41, examples=(found,))
    api.paper.views.audit = api.paper.views.audit.model_copy(update={"findings": (group,)})

    judged = await audit(api)

    assert (judged.verdict, broken(judged)) == (Judgement.BROKEN, {Invariant.ONCE})
    assert (of(judged, Invariant.ONCE).count, of(judged, Invariant.ONCE).findings) == (41, (found,))


async def test_finding_when_of_a_services_barrier_is_broken(api: ApiBench) -> None:
    group = Findings(invariant=Invariant.TOMBSTONE, count=1, examples=(Finding(what="late", events=("payment x:1",)),))
    api.paper.barriers["payment"] = api.paper.barriers["payment"].model_copy(update={"findings": (group,)})

    judged = await audit(api)

    assert broken(judged) == {Invariant.TOMBSTONE}
    assert of(judged, Invariant.TOMBSTONE).findings[0].events == ("payment x:1",)


async def test_ledgers_when_behind_are_unknown_and_what_is_broken_for_ever_is_broken(api: ApiBench) -> None:
    group = Findings(invariant=Invariant.STOCK, count=1, examples=(Finding(what="negative"),))
    waits = "the order service's log is taken up to 5 of 7"
    api.paper.views.audit = api.paper.views.audit.model_copy(update={"waits_for": (waits,)})
    assert (await audit(api)).verdict is Judgement.UNKNOWN

    api.paper.views.audit = api.paper.views.audit.model_copy(update={"findings": (group,)})
    judged = await audit(api)

    assert (judged.verdict, broken(judged)) == (Judgement.BROKEN, {Invariant.STOCK})
    assert unknown(judged) == set(Invariant) - {Invariant.STOCK}
    assert judged.waits_for == (waits,)


@pytest.mark.parametrize(
    ("service", "unjudged"),
    [
        ("order", {Invariant.NAMED, Invariant.TOMBSTONE}),
        ("shipping", {Invariant.NAMED, Invariant.TOMBSTONE}),
        ("payment", {Invariant.NAMED, Invariant.TOMBSTONE, Invariant.GATEWAY}),
    ],
)
async def test_service_when_down_leaves_what_it_alone_can_tell_unknown(
    api: ApiBench, service: str, unjudged: set[Invariant]
) -> None:
    api.paper.down.add(service)
    try:
        judged = await audit(api)
    finally:
        api.paper.down.clear()

    assert (judged.verdict, unknown(judged)) == (Judgement.UNKNOWN, unjudged)
    assert any(service in reason for reason in judged.waits_for)


async def test_query_side_when_down_is_503(api: ApiBench) -> None:
    api.paper.down.add("views")
    try:
        response = await api.http.get("/audit")
    finally:
        api.paper.down.clear()

    assert (response.status_code, response.json()["code"]) == (503, "SERVICE_UNAVAILABLE")


class TestOpenOrders:
    async def test_order_when_its_saga_runs_is_in_flight(self, api: ApiBench) -> None:
        order_id = await on_its_way(api)
        left_open(api, order_id)

        judged = await audit(api)

        assert (judged.verdict, judged.orders.in_flight) == (Judgement.HOLDS, 1)

    async def test_order_when_its_saga_has_ended_is_broken_with_its_events(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        left_open(api, order_id)

        judged = await audit(api)

        assert broken(judged) == {Invariant.SHIPPED}
        (found,) = of(judged, Invariant.SHIPPED).findings
        assert (found.order_id, found.events) == (UUID(order_id), (f"order {order_id}:2",))
        assert found.what == f"order {order_id}: 0 shipments dispatched, and its saga has ended completed"
        assert judged.orders.amiss == 1

    async def test_order_when_settled_by_the_time_its_saga_has_ended_is_well(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        order = left_open(api, order_id)
        api.paper.views.at_rest[order.order_id] = order.model_copy(update={"amiss": ()})

        assert (await audit(api)).verdict is Judgement.HOLDS

    async def test_order_when_nobody_knows_its_saga_is_broken(self, api: ApiBench) -> None:
        left_open(api, uuid4(), Invariant.NOT_HELD)

        assert broken(await audit(api)) == {Invariant.NOT_HELD}

    async def test_order_when_another_saga_was_at_work_on_it_is_asked_about(self, api: ApiBench) -> None:
        running = await on_its_way(api)
        ended = (await api.order(wait=20)).json()["order_id"]
        left_open(api, ended, saga_id=f"order-{running}")

        assert (await audit(api)).orders.in_flight == 1

    async def test_order_when_ended_and_the_ledgers_are_behind_is_not_judged(self, api: ApiBench) -> None:
        order_id = (await api.order(wait=20)).json()["order_id"]
        left_open(api, order_id)
        api.paper.views.audit = api.paper.views.audit.model_copy(update={"waits_for": ("it is behind",)})

        judged = await audit(api)

        assert (judged.verdict, broken(judged), judged.orders.not_judged) == (Judgement.UNKNOWN, set(), 1)

    async def test_orders_when_there_are_too_many_are_not_called_well(self, api: ApiBench) -> None:
        for _ in range(3):
            left_open(api, await on_its_way(api))
        settings = settings_for(api.environment, audit_max_orders=2)

        async with serving(api.app_with(settings)) as http:
            judged = SystemAudit.model_validate_json((await http.get("/audit")).content)

        assert (judged.verdict, judged.orders.in_flight, judged.orders.not_judged) == (Judgement.UNKNOWN, 2, 1)
        assert unknown(judged) == {
            Invariant.DECIDED, Invariant.CAPTURED, Invariant.SHIPPED, Invariant.NOT_HELD, Invariant.NOT_CAPTURED,
            Invariant.RETURNED, Invariant.REFUNDED, Invariant.RESIDUE, Invariant.GATEWAY,
        }  # fmt: skip

    async def test_orders_when_temporal_is_away_are_not_judged(self, api: ApiBench) -> None:
        left_open(api, uuid4())
        settings = settings_for("127.0.0.1:9", temporal_timeout_s=1)

        async with serving(api.app_with(settings)) as http:
            judged = SystemAudit.model_validate_json((await http.get("/audit")).content)

        assert (judged.verdict, judged.orders.not_judged) == (Judgement.UNKNOWN, 1)
        assert "Temporal cannot be reached" in judged.waits_for


class TestForced:
    async def test_forced_saga_when_it_left_what_it_lists_is_well(self, api: ApiBench) -> None:
        order_id = await forced(api)
        forgery = Forgery()
        for act in (forgery.place, forgery.authorize, forgery.reject):
            act()
        put_on_paper(api, forgery, order_id)
        left_open(api, order_id)

        judged = await audit(api)

        assert (judged.verdict, judged.orders.forced) == (Judgement.HOLDS, 1)

    async def test_forced_saga_when_it_left_more_is_broken(self, api: ApiBench) -> None:
        order_id = await forced(api)
        forgery = Forgery()
        for act in (forgery.place, forgery.authorize, forgery.book, forgery.reject):
            act()
        put_on_paper(api, forgery, order_id)
        left_open(api, order_id)

        judged = await audit(api)

        assert broken(judged) == {Invariant.RESIDUE}
        assert {one.order_id for one in of(judged, Invariant.RESIDUE).findings} == {UUID(order_id)}


class TestGateway:
    def entry(self, order_id: str, **changes: Any) -> BookEntry:
        book = {"order_id": order_id, "key": f"order-{order_id}:a", "state": "voided", "currency": "EUR"}
        return BookEntry.model_validate({**book, "amount_minor": 2500, **changes})

    async def test_books_when_they_agree_hold(self, api: ApiBench) -> None:
        book = [self.entry(str(uuid4())) for _ in range(300)]
        api.paper.views.book, api.paper.gateway = book, [*book]

        judged = await audit(api)

        assert of(judged, Invariant.GATEWAY).evidence[0].startswith("300 holds agree")

    async def test_books_when_one_order_among_many_differs_are_broken(self, api: ApiBench) -> None:
        order_id = str(uuid4())
        # So many that begin alike, that sums have to be asked for three times before orders are looked at.
        alike = [self.entry(order_id[:2] + str(uuid4())[2:]) for _ in range(150)]
        others = [*alike, *(self.entry(str(uuid4())) for _ in range(100))]
        api.paper.views.book = [*others, self.entry(order_id)]
        api.paper.gateway = [*others, self.entry(order_id, state="captured")]

        judged = await audit(api)

        assert broken(judged) == {Invariant.GATEWAY}
        (found,) = of(judged, Invariant.GATEWAY).findings
        assert found.what == f"order {order_id}: ours voided 2500 EUR, theirs captured 2500 EUR"
        assert found.order_id == UUID(order_id)

    async def test_books_when_two_errors_cancel_out_are_broken(self, api: ApiBench) -> None:
        one, other = "00000000-0000-4000-8000-00000000aaaa", "00000000-0000-4000-8000-00000000bbbb"
        api.paper.views.book = [self.entry(one, state="captured"), self.entry(other)]
        api.paper.gateway = [self.entry(one), self.entry(other, state="captured")]

        judged = await audit(api)

        assert of(judged, Invariant.GATEWAY).count == 2

    async def test_books_when_they_differ_of_an_order_on_its_way_hold(self, api: ApiBench) -> None:
        order_id = await on_its_way(api)
        api.paper.gateway = [self.entry(order_id, state="held")]

        assert (await audit(api)).verdict is Judgement.HOLDS

    async def test_books_when_the_gateway_knows_what_is_no_order_are_broken(self, api: ApiBench) -> None:
        api.paper.gateway = [self.entry("somebody-elses")]

        assert broken(await audit(api)) == {Invariant.GATEWAY}

    async def test_books_when_too_much_differs_are_unknown_or_broken(self, api: ApiBench) -> None:
        api.paper.gateway = [self.entry(str(uuid4())) for _ in range(40)]
        settings = settings_for(api.environment, audit_max_book_questions=3)

        async with serving(api.app_with(settings)) as http:
            judged = SystemAudit.model_validate_json((await http.get("/audit")).content)

        # Two were looked at, and are broken; nobody may take the others for well.
        assert of(judged, Invariant.GATEWAY).verdict is Judgement.BROKEN
        assert any("more parts of the books differ" in reason for reason in judged.waits_for)


async def on_its_way(api: ApiBench) -> str:
    """An order whose payment cannot be released: refused, so the saga waits."""
    key = f"key-{uuid4()}"
    api.always(key, "book_shipment", "!OUT_OF_STOCK")
    api.always(key, "release_payment", "!PAYMENT_ALREADY_CAPTURED")
    order_id: str = (await api.order(key=key)).json()["order_id"]
    await api.until(order_id, SagaStatus.STUCK)
    return order_id


async def forced(api: ApiBench) -> str:
    """An order whose payment was not released, as an operator has decided."""
    order_id = await on_its_way(api)
    decision = {"step": "authorize_payment", "decision": "skip", "reason": "a test says so"}
    assert (await api.http.post(f"/orders/{order_id}/decisions", json=decision)).status_code == 202
    await api.until(order_id, SagaStatus.FORCED)
    return order_id
