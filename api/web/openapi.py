"""The OpenAPI document: FastAPI's, with what FastAPI cannot know."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api.web.openapi_examples import add_examples
from api.web.problem_codes import documented
from api.web.requests import KEY_HEADER
from contracts.orders import Order
from contracts.returns import Return
from contracts.sagas import Decision
from contracts.wire import IDEMPOTENCY_KEY_HEADER, Problem

_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")
"""How FastAPI would answer malformed input; we answer a problem."""


def openapi_of(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    # Bodies are parsed by us and problems are no response models, so FastAPI has seen neither.
    _, unseen = models_json_schema(
        [(Order, "validation"), (Return, "validation"), (Decision, "validation"), (Problem, "serialization")],
        ref_template="#/components/schemas/{model}",
    )
    schemas = document["components"]["schemas"]
    schemas |= unseen["$defs"]
    add_examples(schemas)
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    for operations in document["paths"].values():
        for method, operation in operations.items():
            operation["responses"] = _corrected(method, operation["responses"])
            if any(parameter["name"] == IDEMPOTENCY_KEY_HEADER for parameter in operation.get("parameters", ())):
                for response in operation["responses"].values():
                    response["headers"] = {**response.get("headers", {}), **KEY_HEADER}
    return document


def _corrected(method: str, responses: dict[str, Any]) -> dict[str, Any]:
    """Leaves only problems as errors, and adds those that may come from any endpoint, or before one is asked."""
    if "application/json" in responses.get("422", {}).get("content", {}):
        del responses["422"]
    everywhere = documented("INTERNAL", *(("BODY_TOO_LARGE",) if method == "post" else ()))
    return dict(sorted((responses | {str(status): response for status, response in everywhere.items()}).items()))
