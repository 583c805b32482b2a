"""How request bodies become models: straight from the bytes, by one strict JSON parser.

A parser that is lenient first (NaN, lone surrogates, huge numbers) lets odd values travel until something else
chokes on them; here they end as 415, 400 or 422 at the door.
"""

from http import HTTPStatus
from typing import Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from api.problems import ApiProblem, malformed

Model = TypeVar("Model", bound=BaseModel)


async def read_body(request: Request, model: type[Model]) -> Model:
    """The body as the model.

    Raises:
        ApiProblem: 415 no JSON by its media type, 400 no JSON by its content, 422 not what the model asks for.
    """
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


def documented_body(model: type[BaseModel]) -> dict[str, Any]:
    """The request body for the OpenAPI document, which is written without FastAPI's own parsing."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
