"""What a saga was asked for with, and how often each of its faults was enacted: enough to run it again."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.fault_plans import enactments
from api.web.kinds import Addressed, Kind, for_each_kind
from contracts.faults import Fault
from contracts.options import SagaOptions


class PlannedFault(Fault):
    """A fault of a saga's plan, and what became of it."""

    enacted: int
    """How often a service has enacted it so far."""


def routes_of(kind: Kind) -> APIRouter:
    router = APIRouter(tags=kind.tags)

    @router.get(
        f"{kind.path}/request",
        response_model=kind.request,
        response_model_exclude_defaults=True,
        responses=kind.documented("TEMPORAL_UNAVAILABLE"),
    )
    async def show_request(one: Annotated[Addressed, Depends(kind.named())]) -> SagaOptions:
        """Show what was posted, the faults included: posted again with another key, it is run again."""
        return await one.sagas.request(one.id)

    @router.get(
        f"{kind.path}/faults",
        responses=kind.documented("TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
    )
    async def show_faults(one: Annotated[Addressed, Depends(kind.named())]) -> list[PlannedFault]:
        """Show the faults that were posted, and how often the services have enacted each of them."""
        faults = (await one.sagas.request(one.id)).faults
        enacted = await one.sagas.services.enacted_faults(one.sagas.saga_id_of(one.id))
        return [
            PlannedFault(**dict(fault), enacted=times)
            for fault, times in zip(faults, enactments(faults, enacted), strict=True)
        ]

    return router


router = for_each_kind(routes_of)
