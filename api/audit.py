"""Whether the invariants hold for one order: a pure function from what the services recorded to verdicts.

Guarantees:
- It looks at the services' own logs. Of the saga it takes only what it claims to have ended as, to hold it to that.
- Each verdict carries its evidence, whether it holds or not.
- While a saga is on its way only those invariants are judged that must hold at any moment.
"""

from collections.abc import Iterator
from uuid import UUID

from pydantic import ConfigDict

from api import endings, invariants
from api.findings import Evidence
from api.invariants import Verdict
from contracts.base import Contract
from contracts.sagas import SagaStatus


class Audit(Contract):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52",
                    "status": "compensated",
                    "clean": True,
                    "verdicts": [{"invariant": "nothing is captured", "holds": True, "evidence": ["captured 0"]}],
                }
            ]
        }
    )

    order_id: UUID
    status: SagaStatus
    """What the saga says it is."""
    clean: bool
    """Whether all verdicts hold."""
    verdicts: tuple[Verdict, ...]


def audit(evidence: Evidence) -> Audit:
    """Judges one order by the invariants of what its saga ended as, and by those that always hold.

    Raises:
        UnreadableEvent: a service's event does not say what it must.
    """
    verdicts = (*_at_any_moment(evidence), *_at_the_end(evidence))
    return Audit(
        order_id=UUID(evidence.order_id),
        status=evidence.status,
        clean=all(verdict.holds for verdict in verdicts),
        verdicts=verdicts,
    )


def _at_any_moment(evidence: Evidence) -> Iterator[Verdict]:
    yield invariants.each_effect_once(evidence)
    yield invariants.compensations_have_their_action(evidence)
    yield invariants.nothing_after_a_tombstone(evidence)
    yield invariants.money_adds_up(evidence)
    yield invariants.stock_adds_up(evidence)


def _at_the_end(evidence: Evidence) -> Iterator[Verdict]:
    match evidence.status:
        case SagaStatus.COMPLETED:
            yield from endings.completed(evidence)
        case SagaStatus.COMPENSATED:
            yield from endings.compensated(evidence)
        case SagaStatus.FORCED:
            yield endings.residue_is_listed(evidence)
        case SagaStatus.TERMINATED:
            yield endings.all_or_nothing(evidence)
        case _:
            # On the way, the gateway may know what the service is just about to write down.
            return
    yield endings.gateway_agrees(evidence)
