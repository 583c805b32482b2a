"""Draws the failures that a user injects with an order, and counts them.

Guarantees:
- Nothing is drawn unless the service was started with fault injection enabled.
- A fault is enacted its `times` times per key and phase, over crashes and restarts: each enactment is counted in a
  transaction of its own before it shows, so it can be lost by a crash at that moment, never doubled.
- An injected failure never makes the service contradict itself: the barrier outranks an injected refusal.
"""

from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError
from sqlmodel import Session, col, select

from contracts.faults import FAULT_PLAN, EnactedFault, Fault, FaultKind, Phase
from services.kernel.database import Database
from services.kernel.errors import MalformedRequest
from services.kernel.operations import AnyOperation, CommandPhase
from services.kernel.refusal import Refusal
from services.kernel.tables import EnactmentRow


class FaultInjector:
    def __init__(self, database: Database, registry: CollectorRegistry, *, enabled: bool) -> None:
        self._database = database
        self._enabled = enabled
        self._enacted = Counter(
            "amends_faults_enacted", "Injected faults that were enacted", ["command", "kind"], registry=registry
        )

    async def draw(self, header: str | None, operation: AnyOperation, key: str) -> Fault | None:
        """The fault to enact now, counted as enacted; the first of the plan that is not used up.

        Raises:
            MalformedRequest: the header is not a fault plan.
        """
        if not self._enabled or header is None:
            return None
        undoes = operation.phase in (CommandPhase.UNDO, CommandPhase.FENCE)
        phase = Phase.COMPENSATION if undoes else Phase.ACTION
        for place, fault in enumerate(_parse(header)):
            if fault.phase is phase and _fits(fault, operation) and await self._count(fault, key, place):
                self._enacted.labels(operation.name, fault.kind).inc()
                return fault
        return None

    async def _count(self, fault: Fault, key: str, place: int) -> bool:
        """Counts one more enactment, unless the fault is used up."""

        def count(session: Session) -> bool:
            name = _name(place, fault.kind)
            row = session.get(EnactmentRow, (key, fault.phase, name)) or EnactmentRow(
                key=key, phase=fault.phase, fault=name, times=0
            )
            if fault.times != "always" and row.times >= fault.times:
                return False
            row.times += 1
            session.add(row)
            return True

        return await self._database.write(count)


def enacted(session: Session, saga_id: str) -> list[EnactedFault]:
    """What was enacted of a saga's plan."""
    of_saga = col(EnactmentRow.key).startswith(f"{saga_id}:", autoescape=True)
    return [
        EnactedFault(key=row.key, phase=Phase(row.phase), place=place, kind=kind, times=row.times)
        for row in session.exec(select(EnactmentRow).where(of_saga).order_by(col(EnactmentRow.key)))
        for place, kind in [_named(row.fault)]
    ]


def injected_refusal(fault: Fault | None, operation: AnyOperation) -> Refusal | None:
    if fault is None or fault.kind is not FaultKind.REFUSE:
        return None
    return Refusal(fault.code or operation.refusals[0], "injected: the service refuses")


def _name(place: int, kind: FaultKind) -> str:
    return f"{place}:{kind}"


def _named(name: str) -> tuple[int, FaultKind]:
    place, _, kind = name.partition(":")
    return int(place), FaultKind(kind)


def _parse(header: str) -> tuple[Fault, ...]:
    try:
        return FAULT_PLAN.validate_json(header)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        raise MalformedRequest("the header with the faults is not a fault plan", [dict(e) for e in errors]) from None


def _fits(fault: Fault, operation: AnyOperation) -> bool:
    """A refusal needs a code that the command declares; a fence declares none and cannot be refused."""
    if fault.kind is not FaultKind.REFUSE:
        return True
    return bool(operation.refusals) and (fault.code is None or fault.code in operation.refusals)
