"""What endpoints take from a request: ids, moments, the idempotency key, the preferred wait, and the body.

Bodies become models straight from the bytes, by one strict JSON parser. A parser that is lenient first (NaN, lone
surrogates, huge numbers) lets odd values travel until something else chokes on them; here they end at the door.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, TypeAdapter, ValidationError

from api.order_sagas import OrderSagas
from api.query_side import Views
from api.return_sagas import ReturnSagas
from api.web.middleware import KEY, KEY_GIVEN
from api.web.problems import ApiProblem, malformed, not_found, sku_not_found
from contracts.base import Contract, Sku
from contracts.wire import IDEMPOTENCY_KEY_HEADER

Model = TypeVar("Model", bound=BaseModel)

UUID_PATTERN = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_SKU: TypeAdapter[str] = TypeAdapter(Sku)
_WAIT = re.compile(r'wait\s*=\s*"?([0-9]{1,9})"?', re.IGNORECASE)
_EXAMPLE = "0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52"


def _sagas(request: Request) -> OrderSagas:
    sagas: OrderSagas = request.app.state.sagas[OrderSagas.noun]
    return sagas


def _returns(request: Request) -> ReturnSagas:
    sagas: ReturnSagas = request.app.state.sagas[ReturnSagas.noun]
    return sagas


def _order_id(order_id: Annotated[str, Path(description="The order's id, a UUID", examples=[_EXAMPLE])]) -> UUID:
    if not UUID_PATTERN.fullmatch(order_id):
        raise not_found("order", None)
    return UUID(order_id)


def _views(request: Request) -> Views:
    views: Views = request.app.state.views
    return views


def _sku(sku: Annotated[str, Path(examples=["BOOK-1"])]) -> str:
    try:
        return _SKU.validate_python(sku)
    except ValidationError:
        raise sku_not_found() from None


def _written_out(moment: object) -> object:
    # A bare number would be read as seconds since 1970, also where somebody means a year.
    if isinstance(moment, str) and not _DATE.match(moment):
        raise ValueError("expected a moment with its offset from UTC, such as 2026-10-01T09:30:00Z")
    return moment


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("expected a moment of the years 1 to 9999 in UTC") from None


Sagas = Annotated[OrderSagas, Depends(_sagas)]
Returns = Annotated[ReturnSagas, Depends(_returns)]
ReadModels = Annotated[Views, Depends(_views)]
OrderId = Annotated[UUID, Depends(_order_id)]
SkuOfPath = Annotated[str, Depends(_sku)]
Moment = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_utc)]
"""A parameter; in UTC, whatever offset it came with."""


class PointInTime(Contract):
    """The parameters of a question about a read model. Others are refused: a mistyped `at` must not mean now."""

    at: Moment | None = None
    """As it was at this moment."""


AsOf = Annotated[PointInTime, Query()]


def key_of(request: Request) -> tuple[str, bool]:
    """The idempotency key, and whether the caller chose it."""
    return getattr(request.state, KEY), getattr(request.state, KEY_GIVEN)


def preferred_wait_s(headers: Iterable[str], max_wait_s: int) -> int | None:
    """How long the caller would wait, at most `max_wait_s`; None where nothing (sensible) is said.

    Of RFC 7240's `Prefer` only `wait=N` means something here. As the RFC asks, the first `wait` counts, and whatever
    is not understood is ignored.
    """
    for header in headers:
        for preference in header.split(","):
            match = _WAIT.fullmatch(preference.partition(";")[0].strip())
            if match:
                return min(int(match[1]), max_wait_s)
    return None


async def read_body(request: Request, model: type[Model], *, optional: bool = False) -> Model:
    """The body as the model; where it is optional, none is as good as an empty object.

    Raises:
        ApiProblem: 415 no JSON by its media type, 400 no JSON by its content, 422 not what the model asks for.
    """
    if optional and not await request.body():
        return model()
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise ApiProblem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "NOT_JSON", "send JSON, with `Content-Type: application/json`"
        )
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        if error.errors(include_url=False, include_input=False)[0]["type"] == "json_invalid":
            problem = malformed(error)
            raise ApiProblem(HTTPStatus.BAD_REQUEST, "MALFORMED_JSON", problem.detail) from None
        raise malformed(error) from None


def documented_body(model: type[BaseModel], *, required: bool = True) -> dict[str, Any]:
    """The request body for the OpenAPI document, which is written without FastAPI's own parsing."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


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
