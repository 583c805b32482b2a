"""Starting returns."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from api.endpoints.starting import answer, asked_with, started
from api.web.requests import OrderId, Returns, key_of, read_body
from contracts.returns import Return
from contracts.sagas import SagaView

router = APIRouter(tags=["returns"])


@router.post(
    "/orders/{order_id}/return",
    status_code=HTTPStatus.ACCEPTED,
    response_model=SagaView,
    responses=started("ORDER_NOT_FOUND", "ORDER_NOT_PLACED"),
    openapi_extra=asked_with(Return, required=False),
)
async def start_return(order_id: OrderId, request: Request, response: Response, returns: Returns) -> SagaView:
    """Start the saga that returns a whole order. The same key and body again, for the same order, is the same saga.

    Whether the order can be returned the saga finds out: where it is not confirmed or not dispatched, or a return of it
    is under way or over, the saga ends compensated, and says so. A body is optional.
    """
    asked = await read_body(request, Return, optional=True)
    key, _ = key_of(request)
    return await answer(returns, await returns.start(order_id, asked, key), request, response)
