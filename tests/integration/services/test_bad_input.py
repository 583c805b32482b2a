"""Malformed requests: each is told what is wrong, none is a 500, none leaves anything behind."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from contracts.wire import IDEMPOTENCY_KEY_HEADER, PROBLEM_MEDIA_TYPE, Problem
from services.kernel.app import BODY_LIMIT_BYTES
from tests.support.builders import SagaCommands
from tests.support.service_client import Service

SAGA = SagaCommands()
PLACE = json.loads(SAGA.place_order().model_dump_json())
LINE = PLACE["lines"][0]


def placing(**changes: Any) -> bytes:
    return json.dumps({**PLACE, **changes}).encode()


def placing_line(**changes: Any) -> bytes:
    return placing(lines=[{**LINE, **changes}])


async def post(service: Service, body: bytes, **headers: str) -> httpx.Response:
    return await service.http.post(
        "/commands/place-order", content=body, headers={IDEMPOTENCY_KEY_HEADER: "a-key", **headers}
    )


async def assert_problem(service: Service, response: httpx.Response, status: int) -> Problem:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
    assert await service.event_types(SAGA.order_id) == []
    assert (await service.http.get(f"/streams/{SAGA.order_id}")).status_code == 404, "not even in the barrier"
    return Problem.model_validate_json(response.content)


MALFORMED = {
    "nothing": b"",
    "not JSON": b"{",
    "not an object": b"[]",
    "not UTF-8": b'{"order_id": "\xff"}',
    "a lone surrogate": json.dumps({**PLACE, "customer_id": "\ud800"}).encode(),
    "a lone surrogate as a name": json.dumps({**PLACE, "\ud800": 1}).encode(),
    "nested without end": b"[" * 100_000,
    "an unknown field": placing(colour="red"),
    "a missing field": json.dumps({k: v for k, v in PLACE.items() if k != "currency"}).encode(),
    "no lines": placing(lines=[]),
    "101 lines": placing(lines=[{**LINE, "sku": f"S{n}"} for n in range(101)]),
    "no units": placing_line(quantity=0),
    "negative units": placing_line(quantity=-1),
    "a fraction of a unit": placing_line(quantity=1.5),
    "too many units": placing_line(quantity=1_000_001),
    "units as text": placing_line(quantity="1"),
    "units as true": placing_line(quantity=True),
    "units as NaN": placing_line(quantity=float("nan")),
    "a free unit": placing_line(unit_price_minor=0),
    "a price beyond 64 bits": placing_line(unit_price_minor=2**63),
    "a price of 5000 digits": b'{"lines": [{"sku": "A", "quantity": 1, "unit_price_minor": ' + b"9" * 5000 + b"}]}",
    "an unknown currency": placing(currency="XXX"),
    "a lower-case currency": placing(currency="eur"),
    "an id that is none": placing(order_id="../../etc/passwd"),
    "a long name": placing(customer_id="x" * 201),
    "a control character": placing(customer_id="a\x00b"),
    "a path as an SKU": placing_line(sku="../BOOK-1"),
}


@pytest.fixture(scope="module")
def back_end() -> str:
    """What is refused before it gets to a database is refused on all of them."""
    return "sqlite"


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
async def test_command_when_malformed_then_422_says_where(order: Service, body: bytes) -> None:
    problem = await assert_problem(order, await post(order, body), 422)

    assert problem.code == "MALFORMED_REQUEST"
    assert all(error["msg"] for error in problem.errors)
    assert problem.errors


async def test_command_when_malformed_then_what_was_sent_is_not_quoted(payment: Service) -> None:
    body = json.loads(SAGA.authorize_payment(token="tok_secret").model_dump_json()) | {"amount_minor": "tok_secret"}

    response = await payment.http.post(
        "/commands/authorize-payment", content=json.dumps(body), headers={IDEMPOTENCY_KEY_HEADER: "a-key"}
    )

    assert response.status_code == 422
    assert "tok_secret" not in response.text


async def test_order_when_its_total_is_beyond_64_bits_then_it_is_refused(order: Service) -> None:
    saga = SagaCommands()
    command = saga.place_order(unit_price_minor=2**63 - 1, quantity=1_000_000)

    response = await order.send(command, key=saga.key_of(command))

    assert (response.status_code, response.json()["code"]) == (409, "INVALID_ORDER")


@pytest.mark.parametrize("key", ["", "k" * 256, "t\tb", "é", "\x7f"], ids=["none", "256", "tab", "accent", "delete"])
async def test_key_when_not_1_to_255_printable_ascii_then_422(order: Service, key: str) -> None:
    headers = {IDEMPOTENCY_KEY_HEADER.encode(): key.encode("latin-1")}

    response = await order.http.post("/commands/place-order", content=placing(), headers=list(headers.items()))

    await assert_problem(order, response, 422)


async def test_key_when_missing_then_422(order: Service) -> None:
    await assert_problem(order, await order.http.post("/commands/place-order", content=placing()), 422)


async def test_key_when_given_twice_then_422(order: Service) -> None:
    headers = [(IDEMPOTENCY_KEY_HEADER, "one"), (IDEMPOTENCY_KEY_HEADER, "two")]

    response = await order.http.post("/commands/place-order", content=placing(), headers=headers)

    await assert_problem(order, response, 422)


async def test_body_when_at_the_limit_then_it_is_read_and_above_it_413(order: Service) -> None:
    at_limit = placing().ljust(BODY_LIMIT_BYTES - 1) + b"x"

    await assert_problem(order, await post(order, at_limit), 422)
    await assert_problem(order, await post(order, at_limit + b" "), 413)


async def test_body_when_it_is_streamed_beyond_the_limit_then_413(order: Service) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1024):
            yield b" " * 1024

    response = await order.http.post(
        "/commands/place-order", content=endless(), headers={IDEMPOTENCY_KEY_HEADER: "a-key"}
    )

    await assert_problem(order, response, 413)


async def test_method_when_wrong_then_405_names_the_right_one(order: Service) -> None:
    response = await order.http.get("/commands/place-order")

    problem = await assert_problem(order, response, 405)
    assert (problem.code, response.headers["Allow"]) == ("METHOD_NOT_ALLOWED", "POST")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/commands/explode",
        "/commands/place-order/",
        "/streams/",
        "/streams/unknown",
        "/streams/..%2F..%2Fetc%2Fpasswd",
        "/streams/" + "x" * 5000,
    ],
)
async def test_path_when_unknown_then_404(order: Service, path: str) -> None:
    await assert_problem(order, await order.http.get(path), 404)


@pytest.mark.parametrize("version", ["0", "-1", "1.5", "x", "", "9" * 5000])
async def test_version_when_it_is_none_then_422(order: Service, version: str) -> None:
    response = await order.http.get(f"/streams/{SAGA.order_id}", params={"version": version})

    await assert_problem(order, response, 422)
