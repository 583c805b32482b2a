"""Starting orders."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.endpoints.starting import answer, asked_with, started
from api.web.requests import Sagas, key_of, read_body
from contracts.orders import Order
from contracts.sagas import SagaView

router = APIRouter(tags=["orders"])


@router.post(
    "/orders",
    status_code=HTTPStatus.ACCEPTED,
    response_model=SagaView,
    responses=started(),
    openapi_extra=asked_with(Order, required=True),
)
async def start_order(request: Request, response: Response, sagas: Sagas) -> SagaView:
    """Start the saga of an order. The same key and body again is the same saga.

    That holds for ever, also when Temporal has forgotten the saga. Only an order that is still pending, while Temporal
    knows nothing of it any more, is run again: its saga was lost before its end.
    """
    order = await read_body(request, Order)
    key, key_given = key_of(request)
    return await answer(sagas, await sagas.start(order, key, key_given=key_given), request, response)
