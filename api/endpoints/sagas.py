"""What can be said of sagas in general: the order saga's definition."""

from fastapi import APIRouter

from api.web.requests import Sagas
from contracts.sagas import DefinitionView

router = APIRouter(tags=["sagas"])


@router.get("/sagas/order")
async def show_definition(sagas: Sagas) -> DefinitionView:
    """Show the order saga's definition: its steps, their refusals and compensations, and a diagram in Mermaid."""
    return sagas.definition.view()
