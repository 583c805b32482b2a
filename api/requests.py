"""What endpoints take from a request: the desk, an order's id, the idempotency key."""

import re
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Path, Request

from api.desk import Desk
from api.edge import KEY, KEY_GIVEN
from api.problems import order_not_found
from contracts.wire import IDEMPOTENCY_KEY_HEADER

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_EXAMPLE = "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52"


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk


def _order_id(order_id: Annotated[str, Path(description="The order's id, a UUID", examples=[_EXAMPLE])]) -> UUID:
    if not _UUID.fullmatch(order_id):
        raise order_not_found(order_id)
    return UUID(order_id)


TheDesk = Annotated[Desk, Depends(_desk)]
OrderId = Annotated[UUID, Depends(_order_id)]


def key_of(request: Request) -> tuple[str, bool]:
    """The idempotency key, and whether the caller chose it."""
    return getattr(request.state, KEY), getattr(request.state, KEY_GIVEN)


KEY_PARAMETER = {
    "name": IDEMPOTENCY_KEY_HEADER,
    "in": "header",
    "required": False,
    "description": "The same key and body again is the same request. Made up, and returned, where it is absent.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    "example": "9a1f6c1e-cart-77",
}
KEY_HEADER = {
    IDEMPOTENCY_KEY_HEADER: {"description": "The key to send a request again with", "schema": {"type": "string"}}
}
