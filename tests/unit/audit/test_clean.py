"""The audit finds nothing where nothing went wrong, and does not judge what it cannot read."""

import pytest

from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from contracts.sagas import SagaStatus
from tests.support.forgery import TOTAL, Forgery
from tests.support.invariants import (
    COVERED,
    MONEY,
    NAMED,
    ONCE,
    STOCK,
    TOMBSTONE,
)


class TestClean:
    def test_completed_when_all_is_done_then_clean(self) -> None:
        judged = audit(Forgery().complete().evidence(SagaStatus.COMPLETED))

        assert judged.clean
        assert all(verdict.evidence for verdict in judged.verdicts)

    def test_compensated_when_all_is_undone_then_clean(self) -> None:
        assert audit(Forgery().compensate().evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_nothing_ever_happened_then_clean(self) -> None:
        forged = Forgery()
        forged.bar(forged.payment, "capture_payment", "AbandonCapture", "fenced", "fence")
        forged.bar(forged.shipping, "book_shipment", "CancelShipment", "nothing_to_undo")

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_the_authorization_had_expired_then_nothing_to_undo_is_right(self) -> None:
        forged = Forgery()
        for act in (forged.place, forged.authorize, forged.book, forged.expire, forged.cancel_shipment):
            act()
        forged.bar(forged.payment, "authorize_payment", "ReleasePayment", "nothing_to_undo")
        forged.reject()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    def test_compensated_when_the_undo_wrote_down_a_lost_authorization_then_clean(self) -> None:
        forged = Forgery()
        forged.place()
        key = forged.key("authorize_payment")
        forged.event(
            forged.payment,
            "PaymentAuthorized",
            "authorize_payment",
            "ReleasePayment",
            authorization=key,
            amount_minor=TOTAL,
            currency="EUR",
        )
        forged.gateway_holds[key] = "held", TOTAL
        forged.void()
        forged.reject()

        assert audit(forged.evidence(SagaStatus.COMPENSATED)).clean

    @pytest.mark.parametrize("status", [SagaStatus.RUNNING, SagaStatus.UNWINDING, SagaStatus.STUCK])
    def test_saga_when_on_its_way_then_only_what_always_holds_is_judged(self, status: SagaStatus) -> None:
        forged = Forgery()
        forged.place()
        forged.authorize()

        judged = audit(forged.evidence(status))

        assert judged.clean
        assert {verdict.invariant for verdict in judged.verdicts} == {ONCE, NAMED, TOMBSTONE, MONEY, COVERED, STOCK}


class TestTerminated:
    def test_terminated_when_half_done_then_found(self) -> None:
        forged = Forgery()
        forged.place()
        forged.authorize()

        assert not audit(forged.evidence(SagaStatus.TERMINATED)).clean

    @pytest.mark.parametrize("forged", [Forgery(), Forgery().complete(), Forgery().compensate()])
    def test_terminated_when_nothing_is_half_done_then_clean(self, forged: Forgery) -> None:
        assert audit(forged.evidence(SagaStatus.TERMINATED)).clean


def test_event_when_it_does_not_say_what_it_must_then_unreadable() -> None:
    forged = Forgery()
    forged.event(forged.payment, "PaymentAuthorized", "authorize_payment", "AuthorizePayment")

    with pytest.raises(UnreadableEvent, match="PaymentAuthorized"):
        audit(forged.evidence(SagaStatus.RUNNING))
