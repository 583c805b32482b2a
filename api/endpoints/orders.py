"""Starting orders and looking at them."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Request, Response

from api.order_sagas import ENDED
from api.web.problem_codes import documented
from api.web.requests import (
    KEY_HEADER,
    KEY_PARAMETER,
    OrderId,
    Sagas,
    documented_body,
    key_of,
    preferred_wait_s,
    read_body,
)
from contracts.orders import Order
from contracts.sagas import SagaView

router = APIRouter(tags=["orders"])

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
_STARTED: dict[int | str, dict[str, Any]] = {
    200: {"model": SagaView, "description": "The saga has ended", "headers": _HEADERS},
    202: {"model": SagaView, "description": "The saga is on its way", "headers": _HEADERS},
}
_REFUSALS = documented(
    "MALFORMED_JSON",
    "FAULT_INJECTION_DISABLED",
    "NOT_JSON",
    "MALFORMED",
    "KEY_REUSED",
    "INVALID_FAULT",
    "TEMPORAL_UNAVAILABLE",
    "SERVICE_UNAVAILABLE",
)


@router.post(
    "/orders",
    status_code=HTTPStatus.ACCEPTED,
    response_model=SagaView,
    responses={**_STARTED, **_REFUSALS},
    openapi_extra={**documented_body(Order), "parameters": [KEY_PARAMETER, _PREFER]},
)
async def start_order(request: Request, response: Response, sagas: Sagas) -> SagaView:
    """Start the saga of an order. The same key and body again is the same saga.

    That holds for ever, also when Temporal has forgotten the saga. Only an order that is still pending, while Temporal
    knows nothing of it any more, is run again: its saga was lost before its end.
    """
    order = await read_body(request, Order)
    key, key_given = key_of(request)
    order_id = await sagas.start(order, key, key_given=key_given)
    wait_s = preferred_wait_s(request.headers.getlist("prefer"), sagas.settings.max_wait_s)
    if wait_s is None:
        view = await sagas.view(order_id)
    else:
        view = await sagas.wait(order_id, wait_s)
        response.headers["Preference-Applied"] = f"wait={wait_s}"
    response.headers["Location"] = view.links.self
    response.status_code = HTTPStatus.OK if view.status in ENDED else HTTPStatus.ACCEPTED
    return view


@router.get(
    "/orders/{order_id}",
    responses=documented("ORDER_NOT_FOUND", "TEMPORAL_UNAVAILABLE", "SERVICE_UNAVAILABLE"),
)
async def show_order(order_id: OrderId, sagas: Sagas) -> SagaView:
    """Show an order's saga as it is now. Needs no worker."""
    return await sagas.view(order_id)
