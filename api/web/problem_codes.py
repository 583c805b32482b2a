"""The codes of the API's problems, each with its status and an example, for the OpenAPI document."""

from collections import defaultdict
from http import HTTPStatus
from typing import Any

from contracts.wire import PROBLEM_MEDIA_TYPE, Problem

_EXAMPLES: dict[str, tuple[HTTPStatus, str]] = {
    "MALFORMED_JSON": (HTTPStatus.BAD_REQUEST, "Invalid JSON: EOF while parsing an object at line 1 column 24"),
    "FAULT_INJECTION_DISABLED": (
        HTTPStatus.FORBIDDEN,
        "this system does not inject faults; leave `faults` out, or enable fault injection in its settings",
    ),
    "ORDER_NOT_FOUND": (HTTPStatus.NOT_FOUND, "there is no order 0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52"),
    "RETURN_NOT_FOUND": (HTTPStatus.NOT_FOUND, "there is no return 7d0ad6a5-58a8-5a3c-8a6e-0d4a8f9c0f11"),
    "SKU_NOT_FOUND": (
        HTTPStatus.NOT_FOUND,
        "the read model knows no SKU BOOK-9, or not yet: it is a moment behind",
    ),
    "TOO_LATE": (HTTPStatus.CONFLICT, "capture_payment has happened, so the saga only goes forward now"),
    "ORDER_NOT_PLACED": (
        HTTPStatus.CONFLICT,
        "order 0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52 is not placed, or not yet, so there is nothing to return",
    ),
    "DECISION_NOT_POSSIBLE": (
        HTTPStatus.CONFLICT,
        "step book_shipment is not stuck, so there is nothing to decide",
    ),
    "BODY_TOO_LARGE": (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "a body may have at most 262144 bytes"),
    "NOT_JSON": (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send JSON, with `Content-Type: application/json`"),
    "MALFORMED": (HTTPStatus.UNPROCESSABLE_ENTITY, "lines: Field required"),
    "KEY_REUSED": (
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "this Idempotency-Key came before with another order; use a new key for a new one",
    ),
    "INVALID_FAULT": (HTTPStatus.UNPROCESSABLE_ENTITY, "faults.0.phase: confirm_order has no compensation"),
    "UNKNOWN_STEP": (HTTPStatus.UNPROCESSABLE_ENTITY, "step: the saga has no such step; see /sagas/order"),
    "INTERNAL": (HTTPStatus.INTERNAL_SERVER_ERROR, "the API has a fault; it has been logged"),
    "TEMPORAL_UNAVAILABLE": (HTTPStatus.SERVICE_UNAVAILABLE, "Temporal cannot be reached"),
    "SERVICE_UNAVAILABLE": (HTTPStatus.SERVICE_UNAVAILABLE, "the order service did not answer in time"),
    "NO_WORKER": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no worker took the decision in time; it may still be taken, so ask again with the same Idempotency-Key",
    ),
}
_PLACES: dict[str, list[dict[str, Any]]] = {
    "MALFORMED": [{"loc": ["lines"], "msg": "Field required", "type": "missing"}],
    "INVALID_FAULT": [
        {"loc": ["faults", 0, "phase"], "msg": "confirm_order has no compensation", "type": "fault"},
    ],
}
_RETRY_AFTER = {"Retry-After": {"description": "When to ask again, in seconds", "schema": {"type": "string"}}}


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The error responses of an endpoint that answers with these codes, for the OpenAPI document."""
    by_status: dict[HTTPStatus, dict[str, Any]] = defaultdict(dict)
    for code in codes:
        status, _ = _EXAMPLES[code]
        by_status[status][code] = {"value": _example(code)}
    return {
        int(status): {
            "description": status.phrase,
            **({"headers": _RETRY_AFTER} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}),
            "content": {PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}},
        }
        for status, examples in by_status.items()
    }


def _example(code: str) -> dict[str, Any]:
    status, detail = _EXAMPLES[code]
    problem = Problem(title=status.phrase, status=status, code=code, detail=detail, errors=_PLACES.get(code, []))
    return problem.model_dump(exclude=set() if problem.errors else {"errors"})
