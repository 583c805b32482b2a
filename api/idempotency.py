"""From an idempotency key to a saga, and whether a second request under the same key asks for the same."""

import hashlib
import json
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid5

from api.web.problems import ApiProblem
from contracts.orders import Order
from contracts.returns import Return
from contracts.wire import KEY_REUSED

_ORDERS = UUID("5c1cf2ad-8b0f-5a1e-9d0b-3f6d0c7f3a52")
"""The namespace of order ids. Changing it would make every old key a new order."""


def order_id_of(key: str) -> UUID:
    return uuid5(_ORDERS, key)


def return_id_of(order_id: UUID, key: str) -> UUID:
    """The same key for the same order is the same return."""
    return uuid5(order_id, f"return:{key}")


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
    return _digest({**first, **more})


def digest_of_return(request: Return) -> str:
    """The same for two bodies exactly if they parse to the same; a field at its default counts for nothing."""
    return _digest(request.model_dump(mode="json", exclude_defaults=True))


def update_id_of(id_: UUID, key: str) -> str:
    """The same key for the same saga, named by the id of what it is of, is the same decision."""
    return f"decision-{uuid5(id_, key)}"


def key_reused(what: str) -> ApiProblem:
    return ApiProblem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        KEY_REUSED,
        f"this Idempotency-Key came before with another {what}; use a new key for a new one",
    )


def _digest(told: dict[str, Any]) -> str:
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
