"""Every error of the API is an RFC 9457 problem document with a stable code; nothing internal shows in any."""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException

from contracts.wire import PROBLEM_MEDIA_TYPE, Problem

_UNKNOWN_BELOW = {"/orders/": "order", "/returns/": "return", "/views/orders/": "order", "/stock/": "SKU"}
"""Whatever is not found below these paths is such a thing, and not known."""
_MAX_ERRORS = 50
_MAX_LOC = 100
"""Characters of a place's name. It may be the caller's own: an unknown field has any name."""


class ApiProblem(Exception):
    """Ends a request with a problem document."""

    def __init__(
        self,
        status: HTTPStatus,
        code: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors or []

    def response(self) -> Response:
        problem = Problem(
            title=self.status.phrase,
            status=self.status,
            code=self.code,
            detail=self.detail,
            errors=self.errors,
        )
        excluded = None if self.errors else {"errors"}
        return Response(
            problem.model_dump_json(exclude=excluded),
            status_code=self.status,
            media_type=PROBLEM_MEDIA_TYPE,
            headers=self.headers,
        )


def not_found(what: str, id_: UUID | None) -> ApiProblem:
    """None is for what is no id: it may be anything, of any length, so it is not repeated."""
    detail = f"there is no {what} {id_}" if id_ else f"there is no such {what}: its id is a UUID"
    return ApiProblem(HTTPStatus.NOT_FOUND, f"{what.upper()}_NOT_FOUND", detail)


def not_in_view(what: str, name: object, at: datetime | None) -> ApiProblem:
    """What a read model does not know (or did not, then)."""
    when = f" at {at.isoformat()}" if at else ", or not yet: it is a moment behind"
    return ApiProblem(HTTPStatus.NOT_FOUND, f"{what.upper()}_NOT_FOUND", f"the read model knows no {what} {name}{when}")


def sku_not_found() -> ApiProblem:
    """For what cannot be a SKU: it is not repeated."""
    detail = "there is no such SKU: it has up to 200 letters, digits, dots, dashes and underscores"
    return ApiProblem(HTTPStatus.NOT_FOUND, "SKU_NOT_FOUND", detail)


def unavailable(code: str, detail: str, retry_after_s: int) -> ApiProblem:
    return ApiProblem(HTTPStatus.SERVICE_UNAVAILABLE, code, detail, headers={"Retry-After": str(retry_after_s)})


def malformed(error: ValidationError | RequestValidationError, where: tuple[str, ...] = ()) -> ApiProblem:
    """What is wrong with an input, place by place, up to a number of them. The input itself is not repeated."""
    errors = [
        {"loc": [*where, *map(_shortened, one["loc"])], "msg": one["msg"], "type": one["type"]}
        for one in error.errors()[:_MAX_ERRORS]
    ]
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"])
    detail = f"{place}: {first['msg']}" if place else str(first["msg"])
    return ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "MALFORMED", detail, errors=errors)


def malformed_parameter(name: str, message: str) -> ApiProblem:
    errors = [{"loc": ["query", name], "msg": message, "type": "value_error"}]
    return ApiProblem(HTTPStatus.UNPROCESSABLE_ENTITY, "MALFORMED", f"query.{name}: {message}", errors=errors)


def _shortened(place: str | int) -> str | int:
    return place[:_MAX_LOC] if isinstance(place, str) else place


def internal_error() -> ApiProblem:
    return ApiProblem(HTTPStatus.INTERNAL_SERVER_ERROR, "INTERNAL", "the API has a fault; it has been logged")


def install(app: FastAPI) -> None:
    """Makes the app answer every error as a problem."""
    app.add_exception_handler(ApiProblem, _answer_problem)
    app.add_exception_handler(RequestValidationError, _answer_malformed)
    app.add_exception_handler(HTTPException, _answer_http)


async def _answer_problem(_: Request, problem: Exception) -> Response:
    assert isinstance(problem, ApiProblem)  # noqa: S101 - registered for nothing else
    return problem.response()


async def _answer_malformed(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    return malformed(error).response()


async def _answer_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    status = HTTPStatus(error.status_code)
    for path, what in _UNKNOWN_BELOW.items():
        if status is HTTPStatus.NOT_FOUND and request.url.path.startswith(path):
            detail = f"there is no such {what}, and nothing else here"
            return ApiProblem(status, f"{what.upper()}_NOT_FOUND", detail).response()
    details = {
        HTTPStatus.NOT_FOUND: "there is nothing here; see /docs",
        HTTPStatus.METHOD_NOT_ALLOWED: f"{request.method} is not possible here; see the Allow header",
    }
    return ApiProblem(
        status, status.name, details.get(status, status.phrase), headers=dict(error.headers or {})
    ).response()
