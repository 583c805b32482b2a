"""The history of a saga: as a story, or as Temporal keeps it."""

from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from temporalio.client import WorkflowHistory

from api.view.story import tell
from api.web.problem_codes import documented
from api.web.requests import OrderId, Sagas
from contracts.sagas import HistoryPage
from workflows.names import saga_id_of

router = APIRouter(tags=["orders"])

_TEMPORAL: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page of the story; with `format=temporal` Temporal's history, whole, as its CLI prints it",
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/HistoryPage"},
                        {
                            "type": "object",
                            "required": ["events"],
                            "properties": {"events": {"type": "array", "items": {"type": "object"}}},
                        },
                    ]
                }
            }
        },
    }
}


@router.get(
    "/orders/{order_id}/history",
    response_model=HistoryPage,
    responses={
        **_TEMPORAL,
        **documented("ORDER_NOT_FOUND", "MALFORMED", "TEMPORAL_UNAVAILABLE"),
    },
)
async def show_history(
    order_id: OrderId,
    sagas: Sagas,
    after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only what was recorded after this event")] = 0,
    limit: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Entries on a page, within limits")] = None,
    format: Annotated[Literal["story", "temporal"], Query()] = "story",  # noqa: A002 - the parameter's public name
) -> Any:
    """Tell what happened in a saga, one entry per thing that happened."""
    snapshot = await sagas.snapshot(order_id)
    saga_id = saga_id_of(order_id)
    if format == "temporal":
        return JSONResponse(WorkflowHistory(saga_id, snapshot.events).to_json_dict())
    size = min(limit or sagas.settings.default_page, sagas.settings.max_page)
    entries = (entry for entry in tell(sagas.facts_of(snapshot), sagas.definition) if entry.event_id > after)
    page = tuple(islice(entries, size))
    more = next(entries, None) is not None
    following = f"{sagas.links(order_id).history}?after={page[-1].event_id}&limit={size}" if more else None
    return HistoryPage(order_id=order_id, saga_id=saga_id, entries=page, next=following)
