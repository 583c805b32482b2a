"""Enacts the failures that a user injects with an order.

Guarantees:
- Nothing is enacted unless the service was started with fault injection enabled.
- A fault is enacted its `times` times per key and phase, over crashes and restarts: each enactment is counted in a
  transaction of its own before it shows, so it can be lost by a crash at that moment, never doubled.
- An injected failure never makes the service contradict itself: the barrier outranks an injected refusal.
"""

from pydantic import ValidationError
from sqlmodel import Session, col, select
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contracts.faults import FAULT_PLAN, Fault, FaultKind, Phase
from services.kernel.database import Database
from services.kernel.errors import MalformedRequest, TryLater
from services.kernel.operations import AnyOperation, CommandPhase
from services.kernel.refusal import Refusal
from services.kernel.tables import EnactmentRow


class FaultInjector:
    def __init__(self, database: Database, *, enabled: bool) -> None:
        self._database = database
        self._enabled = enabled

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
            if fault.phase is phase and _fits(fault, operation):
                identity = f"{place}:{fault.kind}"
                if fault.times == "always" or await self._count(fault, fault.times, key, identity):
                    return fault
        return None

    async def _count(self, fault: Fault, times: int, key: str, identity: str) -> bool:
        def count(session: Session) -> bool:
            row = session.exec(
                select(EnactmentRow).where(
                    col(EnactmentRow.key) == key,
                    col(EnactmentRow.phase) == fault.phase,
                    col(EnactmentRow.fault) == identity,
                )
            ).first() or EnactmentRow(key=key, phase=fault.phase, fault=identity, times=0)
            if row.times >= times:
                return False
            row.times += 1
            session.add(row)
            return True

        return await self._database.write(count)


def injected_error() -> TryLater:
    return TryLater("INJECTED_FAULT", "injected: the service fails before any effect")


def injected_refusal(fault: Fault | None, operation: AnyOperation) -> Refusal | None:
    if fault is None or fault.kind is not FaultKind.REFUSE:
        return None
    return Refusal(fault.code or operation.refusals[0], "injected: the service refuses")


class LostReply(Response):
    """Announces a body and sends none, so that the server closes the connection: the caller gets no reply."""

    def __init__(self) -> None:
        super().__init__(headers={"Content-Length": "1"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})


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
