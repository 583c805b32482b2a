"""Whether the API runs, and whether it can start sagas."""

from fastapi import APIRouter

from api.web.problem_codes import documented
from api.web.requests import Sagas
from contracts.base import Contract

router = APIRouter(tags=["health"])


class Health(Contract):
    status: str


@router.get("/health/live")
async def live() -> Health:
    """Say that the process runs. Asks nobody."""
    return Health(status="live")


@router.get("/health/ready", responses=documented("TEMPORAL_UNAVAILABLE"))
async def ready(sagas: Sagas) -> Health:
    """Say whether sagas can be started, or what is missing: Temporal, its namespace, its search attributes."""
    await sagas.temporal.check()
    return Health(status="ready")
