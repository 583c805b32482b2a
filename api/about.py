"""What the API says about sagas in general and about itself."""

from http import HTTPStatus

from fastapi import APIRouter

from api.problems import documented
from api.requests import TheDesk
from contracts.base import Contract
from contracts.sagas import DefinitionView

router = APIRouter()


class Health(Contract):
    status: str


@router.get("/sagas/order", tags=["sagas"])
async def show_definition(desk: TheDesk) -> DefinitionView:
    """Show the order saga's definition: its steps, their refusals and compensations, and a diagram in Mermaid."""
    return desk.definition.view()


@router.get("/health/live", tags=["health"])
async def live() -> Health:
    """Say that the process runs. Asks nobody."""
    return Health(status="live")


@router.get("/health/ready", tags=["health"], responses=documented(HTTPStatus.SERVICE_UNAVAILABLE))
async def ready(desk: TheDesk) -> Health:
    """Say whether sagas can be started, or what is missing: Temporal, its namespace, its search attributes."""
    await desk.engine.check()
    return Health(status="ready")
