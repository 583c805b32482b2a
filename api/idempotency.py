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


_FIELDS_OF_THE_FIRST_DIGESTS = frozenset(
    "customer_id currency payment_token lines shipping_address faults deadline_s".split()
)


def digest_of(order: Order) -> str:
    """The same for two bodies exactly if they parse to the same order.

    A field that came to be known later counts only where it is not at its default: else a new release would take the
    keys of running sagas for reused.
    """
    told = order.model_dump(mode="json")
    more = order.model_dump(mode="json", exclude=set(_FIELDS_OF_THE_FIRST_DIGESTS), exclude_defaults=True)
    first = {name: told[name] for name in _FIELDS_OF_THE_FIRST_DIGESTS}
    canonical = json.dumps({**first, **more}, sort_keys=True, separators=(",", ":"))
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
