"""From an idempotency key to an order, and whether a second request under the same key asks for the same."""

import hashlib
import json
from http import HTTPStatus
from uuid import UUID, uuid5

from api.web.problems import ApiProblem
from contracts.orders import Order
from contracts.sagas import Decision
from contracts.wire import KEY_REUSED

_ORDERS = UUID("5c1cf2ad-8b0f-5a1e-9d0b-3f6d0c7f3a52")
"""The namespace of order ids. Changing it would make every old key a new order."""


def order_id_of(key: str) -> UUID:
    return uuid5(_ORDERS, key)


def digest_of(order: Order) -> str:
    """The same for two bodies exactly if they parse to the same order."""
    canonical = json.dumps(order.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def update_id_of(order_id: UUID, key: str) -> str:
    """The same key for the same order is the same decision."""
    return f"decision-{uuid5(order_id, key)}"


def key_reused(what: type[Order] | type[Decision]) -> ApiProblem:
    return ApiProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        KEY_REUSED,
        f"this Idempotency-Key came before with another {what.__name__.lower()}; use a new key for a new one",
    )
