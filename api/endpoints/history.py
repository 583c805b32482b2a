"""The history of a saga: as a story, or as Temporal keeps it."""

from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from temporalio.client import WorkflowHistory

from api.sagas import input_in
from api.view.facts import Fact
from api.view.story import tell
from api.web.kinds import Addressed, Kind, for_each_kind
from contracts.sagas import HistoryPage

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


def routes_of(kind: Kind) -> APIRouter:
    router = APIRouter(tags=kind.tags)

    @router.get(
        f"{kind.path}/history",
        response_model=HistoryPage,
        responses={**_TEMPORAL, **kind.documented("MALFORMED", "TEMPORAL_UNAVAILABLE")},
    )
    async def show_history(
        one: Annotated[Addressed, Depends(kind.named())],
        after: Annotated[int, Query(ge=0, le=2**63 - 1, description="Only what was recorded after this event")] = 0,
        limit: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Entries on a page, within limits")] = None,
        format: Annotated[Literal["story", "temporal"], Query()] = "story",  # noqa: A002 - the parameter's public name
    ) -> Any:
        """Tell what happened in a saga, one entry per thing that happened."""
        snapshot = await one.sagas.snapshot(one.id)
        if format == "temporal":
            return JSONResponse(WorkflowHistory(one.sagas.saga_id_of(one.id), snapshot.events).to_json_dict())
        return _page(one, one.sagas.facts_of(snapshot), after, limit)

    return router


def _page(one: Addressed, facts: list[Fact], after: int, limit: int | None) -> HistoryPage:
    saga = input_in(facts)
    settings = one.sagas.settings
    size = min(limit or settings.default_page, settings.max_page)
    entries = (entry for entry in tell(facts, one.sagas.definition) if entry.event_id > after)
    page = tuple(islice(entries, size))
    more = next(entries, None) is not None
    here = one.sagas.links(one.id, saga.order_id).history
    following = f"{here}?after={page[-1].event_id}&limit={size}" if more else None
    return HistoryPage(order_id=saga.order_id, saga_id=saga.saga_id, entries=page, next=following)


router = for_each_kind(routes_of)
