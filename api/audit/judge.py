"""Whether the invariants hold for one saga: a pure function from what the services recorded to verdicts.

Guarantees:
- It looks at the services' own logs. Of the saga it takes only what it claims to have ended as, to hold it to that.
- Each verdict carries its evidence, whether it holds or not.
- While a saga is on its way only those invariants are judged that must hold at any moment.
"""

from collections.abc import Iterator
from uuid import UUID

from api.audit import invariants_always, invariants_at_the_end, promises
from api.audit.evidence import Evidence
from api.audit.promises import Promise
from api.audit.verdicts import Audit, Verdict
from contracts.sagas import SagaStatus


def audit(evidence: Evidence, promise: Promise = invariants_at_the_end.ORDER_PROMISE) -> Audit:
    """Judges one saga by what its kind promises for what it ended as, and its order by what always holds.

    Raises:
        UnreadableEvent: a service's event does not say what it must.
    """
    verdicts = (*_at_any_moment(evidence), *_at_the_end(evidence, promise))
    return Audit(
        order_id=UUID(evidence.order_id),
        status=evidence.status,
        clean=all(verdict.holds for verdict in verdicts),
        verdicts=verdicts,
    )


def _at_any_moment(evidence: Evidence) -> Iterator[Verdict]:
    yield invariants_always.each_effect_once(evidence)
    yield invariants_always.compensations_have_their_action(evidence)
    yield invariants_always.nothing_after_a_tombstone(evidence)
    yield invariants_always.money_adds_up(evidence)
    yield invariants_always.refunds_are_covered(evidence)
    yield invariants_always.stock_adds_up(evidence)


def _at_the_end(evidence: Evidence, promise: Promise) -> Iterator[Verdict]:
    match evidence.status:
        case SagaStatus.COMPLETED:
            yield from promise.completed(evidence)
        case SagaStatus.COMPENSATED:
            yield from promise.compensated(evidence)
        case SagaStatus.FORCED:
            yield from promises.forced(evidence, promise)
        case SagaStatus.TERMINATED:
            yield promises.all_or_nothing(evidence, promise)
        case _:
            # On the way, the gateway may know what the service is just about to write down.
            return
    yield invariants_at_the_end.gateway_agrees(evidence)
