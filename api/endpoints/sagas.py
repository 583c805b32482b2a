"""What can be said of any saga: its definition, and how it is now."""

from typing import Annotated

from fastapi import APIRouter, Depends

from api.web.kinds import Addressed, Kind, for_each_kind
from contracts.sagas import DefinitionView, SagaView


def routes_of(kind: Kind) -> APIRouter:
    router = APIRouter()

    @router.get(f"/sagas/{kind.noun}", tags=["sagas"])
    async def show_definition() -> DefinitionView:
        """Show the definition of such a saga: its steps, their refusals and compensations, and a diagram in Mermaid."""
        return kind.sagas.definition.view()

    @router.get(kind.path, tags=kind.tags, responses=kind.documented("TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"))
    async def show_saga(one: Annotated[Addressed, Depends(kind.named())]) -> SagaView:
        """Show the saga as it is now. Needs no worker."""
        return await one.sagas.view(one.id)

    return router


router = for_each_kind(routes_of)
