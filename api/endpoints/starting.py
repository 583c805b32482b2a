"""What is the same wherever a saga is started: how long to wait, what is answered, and how all that is documented."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import Request, Response

from api.sagas import ENDED, Sagas
from api.web.problem_codes import documented
from api.web.requests import KEY_HEADER, KEY_PARAMETER, documented_body, preferred_wait_s
from contracts.options import SagaOptions
from contracts.sagas import SagaView

_PREFER = {
    "name": "Prefer",
    "in": "header",
    "required": False,
    "description": "`wait=N` waits up to N seconds for the saga to end.",
    "schema": {"type": "string"},
    "example": "wait=10",
}
_HEADERS = {
    **KEY_HEADER,
    "Location": {"description": "Where to look", "schema": {"type": "string"}},
    "Preference-Applied": {"description": "How long it would have waited, at most", "schema": {"type": "string"}},
}


def started(*more_codes: str) -> dict[int | str, dict[str, Any]]:
    """The responses of an endpoint that starts sagas."""
    return {
        200: {"model": SagaView, "description": "The saga has ended", "headers": _HEADERS},
        202: {"model": SagaView, "description": "The saga is on its way", "headers": _HEADERS},
        **documented(
            "MALFORMED_JSON",
            "FAULT_INJECTION_DISABLED",
            *more_codes,
            "NOT_JSON",
            "MALFORMED",
            "KEY_REUSED",
            "INVALID_FAULT",
            "TEMPORAL_UNAVAILABLE",
            "SERVICE_UNAVAILABLE",
        ),
    }


def asked_with(body: type[SagaOptions], *, required: bool) -> dict[str, Any]:
    """Its request, as far as FastAPI has not seen it."""
    return {**documented_body(body, required=required), "parameters": [KEY_PARAMETER, _PREFER]}


async def answer(sagas: Sagas, id_: UUID, request: Request, response: Response) -> SagaView:
    """The view of a saga that was started, now or when it has ended, as the caller prefers."""
    wait_s = preferred_wait_s(request.headers.getlist("prefer"), sagas.settings.max_wait_s)
    if wait_s is None:
        view = await sagas.view(id_)
    else:
        view = await sagas.wait(id_, wait_s)
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    response.headers["Location"] = view.links.self
    response.status_code = HTTPStatus.OK if view.status in ENDED else HTTPStatus.ACCEPTED
    return view
