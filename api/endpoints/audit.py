"""Whether the invariants hold: for an order by the services' own logs, for everything by the query side's ledgers."""

from datetime import UTC, datetime

from fastapi import APIRouter

from api.audit.everything import judge
from api.audit.gather import gather
from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from api.audit.survey import survey
from api.audit.verdicts import Audit
from api.reading import ServiceUnreachable
from api.services import ORDER, PAYMENT, SHIPPING, StoredEvent
from api.web.problem_codes import documented
from api.web.requests import OrderId, ReadModels, Sagas
from contracts.audits import SystemAudit

router = APIRouter(tags=["orders"])


@router.get(
    "/orders/{order_id}/audit",
    responses=documented("ORDER_NOT_FOUND", "TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
)
async def show_audit(order_id: OrderId, sagas: Sagas) -> Audit:
    """Judge an order by the services' own logs: do the invariants hold that its saga promises?"""
    # First what the saga claims, then what there is to see of it: never a claim about what came later.
    view = await sagas.view(order_id)
    try:
        return audit(await gather(sagas.services, view))
    except UnreadableEvent as error:
        raise ServiceUnreachable(_service_of(error.event), f"has an unreadable event: {error}") from error


@router.get("/audit", responses=documented("SERVICE_UNAVAILABLE"))
async def show_audit_of_everything(sagas: Sagas, views: ReadModels) -> SystemAudit:
    """Judge everything: do the invariants hold, over all orders, all money and all stock?

    The query side's ledgers, which the event logs have built, are held to the invariants; so are each service's barrier
    and the payment gateway's own books. An order that is on its way is held to what must hold at any moment; once its
    saga has ended, to what it must have come to. What cannot be judged yet is `unknown`, and `waits_for` says why.
    """
    return judge(await survey(sagas, views), datetime.now(UTC))


def _service_of(event: StoredEvent) -> str:
    return next((service for service in (ORDER, PAYMENT) if event.type.lower().startswith(service)), SHIPPING)
