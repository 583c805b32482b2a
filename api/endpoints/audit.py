"""Whether the invariants hold: for a saga by the services' own logs, for everything by the query side's ledgers."""

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends

from api.audit.everything import judge
from api.audit.gather import gather
from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from api.audit.survey import survey
from api.audit.verdicts import Audit
from api.reading import ServiceUnreachable
from api.services import ORDER, PAYMENT, SHIPPING, StoredEvent
from api.web.kinds import Addressed, Kind, for_each_kind
from api.web.problem_codes import documented
from api.web.requests import ReadModels, Returns, Sagas
from contracts.audits import SystemAudit


def routes_of(kind: Kind) -> APIRouter:
    router = APIRouter(tags=kind.tags)

    @router.get(f"{kind.path}/audit", responses=kind.documented("TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"))
    async def show_audit(one: Annotated[Addressed, Depends(kind.named())], returns: Returns) -> Audit:
        """Judge a saga by the services' own logs: do the invariants hold that it promises?"""
        # First what the saga claims, then what there is to see of it: never a claim about what came later.
        view = await one.sagas.view(one.id)
        try:
            return audit(await gather(one.sagas.services, view, returns.status_of), kind.promise)
        except UnreadableEvent as error:
            raise ServiceUnreachable(_service_of(error.event), f"has an unreadable event: {error}") from error

    return router


def _service_of(event: StoredEvent) -> str:
    return next((service for service in (ORDER, PAYMENT) if event.type.lower().startswith(service)), SHIPPING)


router = for_each_kind(routes_of)


@router.get("/audit", tags=["audit"], responses=documented("SERVICE_UNAVAILABLE"))
async def show_audit_of_everything(sagas: Sagas, returns: Returns, views: ReadModels) -> SystemAudit:
    """Judge everything: do the invariants hold, over all orders, all money and all stock?

    The query side's ledgers, which the event logs have built, are held to the invariants; so are each service's barrier
    and the payment gateway's own books. An order that is on its way is held to what must hold at any moment; once its
    saga has ended, to what it must have come to. What cannot be judged yet is `unknown`, and `waits_for` says why.
    """
    return judge(await survey(sagas, returns, views), datetime.now(UTC))
