"""The OpenAPI document: complete, and kept to by what the API answers to anything that fits it, or does not."""

import pytest

from tests.integration.api.desk import ApiBench

pytestmark = pytest.mark.integration


async def test_models_when_documented_then_with_examples(api: ApiBench) -> None:
    document = (await api.http.get("/openapi.json")).json()

    models = {name: schema for name, schema in document["components"]["schemas"].items() if "properties" in schema}
    assert {"Order", "SagaView", "Problem"} <= set(models)
    assert [name for name, schema in models.items() if not schema.get("examples")] == []


async def test_errors_when_documented_then_as_problems(api: ApiBench) -> None:
    document = (await api.http.get("/openapi.json")).json()

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    assert list(response["content"]) == ["application/problem+json"], (path, method, status)
