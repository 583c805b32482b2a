"""Whether the invariants hold for a saga, by the services' own logs."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.audit.gather import gather
from api.audit.judge import audit
from api.audit.service_events import UnreadableEvent
from api.audit.verdicts import Audit
from api.reading import ServiceUnreachable
from api.services import ORDER, PAYMENT, SHIPPING, StoredEvent
from api.web.kinds import Addressed, Kind, for_each_kind
from api.web.requests import Returns


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
