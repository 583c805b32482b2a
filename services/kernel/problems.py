"""Every error answer is a problem document (RFC 9457), whatever went wrong and wherever."""

import json
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts.wire import PROBLEM_MEDIA_TYPE, Problem
from services.kernel.errors import MalformedRequest, ServiceError, TryLater

_log = structlog.get_logger()


def problem(
    status: int,
    code: str,
    detail: str,
    *,
    errors: Iterable[Mapping[str, Any]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response:
    document = Problem(
        title=HTTPStatus(status).phrase, status=status, code=code, detail=detail, errors=[dict(e) for e in errors]
    )
    # Escaped to ASCII: what a caller sent, lone surrogates included, may be quoted in it.
    body = json.dumps(document.model_dump(mode="python"), default=str)
    return Response(body, status, dict(headers or {}), PROBLEM_MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Makes the app answer all its errors as problems."""
    app.add_exception_handler(ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _invalid_parameters)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)


def of(error: ServiceError) -> Response:
    return problem(
        error.status,
        error.code,
        error.detail,
        errors=error.errors if isinstance(error, MalformedRequest) else (),
        headers={"Retry-After": str(error.retry_after_s)} if isinstance(error, TryLater) else None,
    )


async def _service_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for nothing else
    return of(error)


async def _invalid_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for nothing else
    errors = [{"type": e["type"], "loc": e["loc"], "msg": e["msg"]} for e in error.errors()]
    return problem(422, "MALFORMED_REQUEST", "a parameter is not as the contract says", errors=errors)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    code = HTTPStatus(error.status_code).name
    return problem(error.status_code, code, str(error.detail), headers=error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    # The traceback is logged by the server; the caller learns nothing about our insides.
    _log.error("unexpected", path=request.url.path, error=type(error).__name__)
    return problem(500, "INTERNAL_ERROR", "the service failed unexpectedly; its log says why")
