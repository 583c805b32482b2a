"""The OpenAPI document: complete, and kept to by what the API answers to anything that fits it, or does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import schemathesis
import uvicorn
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, CheckContext, GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from contracts.views import MoneyView, StockView
from contracts.wire import Problem
from tests.integration.api.bench import ApiBench
from tests.support.eventually import eventually
from tests.support.views_on_paper import an_order_event, an_order_view

pytestmark = pytest.mark.integration

EXAMPLES_EACH = 20


async def test_models_when_documented_then_with_examples(api: ApiBench) -> None:
    document = (await api.http.get("/openapi.json")).json()

    models = {name: schema for name, schema in document["components"]["schemas"].items() if "properties" in schema}
    assert {"Order", "SagaView", "OrderList", "OrderEvents", "StockView", "MoneyView", "Problem"} <= set(models)
    assert [name for name, schema in models.items() if not schema.get("examples")] == []


async def test_errors_when_documented_then_as_problems(api: ApiBench) -> None:
    document = (await api.http.get("/openapi.json")).json()

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, method, status)
                    examples = response["content"]["application/problem+json"]["examples"]
                    problems = {code: Problem.model_validate(example["value"]) for code, example in examples.items()}
                    assert {(code, status) for code in problems} == {
                        (problem.code, str(problem.status)) for problem in problems.values()
                    }


async def test_key_when_taken_then_documented_in_every_answer(api: ApiBench) -> None:
    document = (await api.http.get("/openapi.json")).json()

    for path in ("/orders", "/orders/{order_id}/decisions"):
        for status, response in document["paths"][path]["post"]["responses"].items():
            assert "Idempotency-Key" in response["headers"], (path, status)


@pytest.mark.parametrize(
    ("schema", "field", "description"),
    [
        ("Order", "deadline_s", "How long the saga may take until its pivot"),
        ("SagaView", "suspended", "Why the engine cannot go on"),
        ("StepView", "attempts", "Attempts of the action so far"),
        ("PublicEvent", "causationid", "The command that led to it"),
        ("OrderList", "next", "Link to the next page"),
        ("Problem", "errors", "For malformed input"),
    ],
)
async def test_field_when_documented_in_the_code_then_described(
    api: ApiBench, schema: str, field: str, description: str
) -> None:
    document = (await api.http.get("/openapi.json")).json()

    assert document["components"]["schemas"][schema]["properties"][field]["description"].startswith(description)


def declares_its_code(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    """Every problem's code is one of those declared for the call and the status."""
    if response.status_code < 400 or response.status_code == 405:
        return
    declared = case.operation.definition.raw["responses"][str(response.status_code)]
    assert response.json()["code"] in declared["content"]["application/problem+json"]["examples"]


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
    declares_its_code,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
async def test_any_request_when_sent_then_answered_as_documented(api: ApiBench, mode: GenerationMode) -> None:
    fill_in(api)

    async with listening(api.app) as url:
        await asyncio.to_thread(_try_all_operations, f"{url}/openapi.json", mode)


@pytest.mark.parametrize("path", ["/orders/{order_id}/events", "/views/orders/{order_id}", "/stock/{sku}"])
async def test_read_model_when_it_knows_then_answers_as_documented(api: ApiBench, path: str) -> None:
    order_id = fill_in(api)

    async with listening(api.app) as url:
        parameters = {"order_id": order_id} if "order_id" in path else {"sku": "BOOK-1"}
        response = await asyncio.to_thread(_try_operation, f"{url}/openapi.json", path, parameters)

    assert response.status_code == 200


def fill_in(api: ApiBench) -> str:
    """Gives the query side something to tell of each kind; an order's id."""
    order, views = an_order_view(), api.paper.views
    views.orders.append(order)
    views.events[order.order_id].append(an_order_event(order))
    views.stock["BOOK-1"] = [(order.placed_at, StockView(sku="BOOK-1", received=10, on_hand=10))]
    views.money = [MoneyView(currency="EUR", authorized_minor=2500, held_minor=2500)]
    return str(order.order_id)


def _try_operation(document_url: str, path: str, parameters: dict[str, str]) -> Response:
    case = schemathesis.openapi.from_url(document_url)[path]["GET"].Case(path_parameters=parameters)
    response = case.call()
    case.validate_response(response, checks=CHECKS)
    return response


def _try_all_operations(document_url: str, mode: GenerationMode) -> None:
    document = schemathesis.openapi.from_url(document_url)
    for result in document.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES_EACH,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def try_it(case: Case[Any]) -> None:
            case.call_and_validate(checks=CHECKS)

        try:
            try_it()
        except Unsatisfiable:
            # An operation without input has no wrong input either.
            assert mode is GenerationMode.NEGATIVE, operation.label


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """The app on a free port, served as in production, by uvicorn."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    await eventually(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await serving
