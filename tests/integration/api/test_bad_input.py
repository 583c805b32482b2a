"""Bad input: each is answered with a problem, none with a 500, and none leaves anything behind."""

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from api.app import create_app
from api.idempotency import order_id_of
from contracts.wire import PROBLEM_MEDIA_TYPE
from tests.integration.api.bench import ApiBench, serving, settings_for
from tests.support.orders import an_order
from workflows.names import saga_id_of

pytestmark = pytest.mark.integration

LINE = {"sku": "BOOK-1", "quantity": 2, "unit_price_minor": 1250}
JSON = {"Content-Type": "application/json"}


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in an_order().items() if key != name}


def _line(**changes: Any) -> dict[str, Any]:
    return an_order(lines=[{**LINE, **changes}])


def _address(**changes: Any) -> dict[str, Any]:
    return an_order(shipping_address={**an_order()["shipping_address"], **changes})


def _fault(**fault: Any) -> dict[str, Any]:
    return an_order(faults=[{"step": "book_shipment", "kind": "error", **fault}])


INVALID: dict[str, Any] = {
    "nothing": {},
    "a list": [],
    "a null": None,
    "unknown field": an_order(coupon="x"),
    "unknown field in a line": _line(colour="red"),
    "no lines": an_order(lines=[]),
    "101 lines": an_order(lines=[{**LINE, "sku": f"S-{number}"} for number in range(101)]),
    "duplicate SKUs": an_order(lines=[LINE, LINE]),
    "zero quantity": _line(quantity=0),
    "negative quantity": _line(quantity=-1),
    "fractional quantity": _line(quantity=1.5),
    "quantity as text": _line(quantity="2"),
    "quantity as a truth": _line(quantity=True),
    "huge quantity": _line(quantity=10**9),
    "zero price": _line(unit_price_minor=0),
    "negative price": _line(unit_price_minor=-1),
    "fractional price": _line(unit_price_minor=12.5),
    "price beyond 64 bits": _line(unit_price_minor=2**63),
    "total beyond 64 bits": _line(quantity=1_000_000, unit_price_minor=2**62),
    "unknown currency": an_order(currency="XXX"),
    "lower-case currency": an_order(currency="eur"),
    "currency of two": an_order(currency=["EUR", "USD"]),
    "missing token": _without("payment_token"),
    "empty token": an_order(payment_token=""),
    "token that is no text": an_order(payment_token=17),
    "1 MB in 1 field, under a larger limit": an_order(customer_id="x" * 200_001),
    "201 characters": an_order(customer_id="x" * 201),
    "NUL": an_order(customer_id="a\0b"),
    "line break": an_order(customer_id="a\nb"),
    "path in a SKU": _line(sku="../../etc/passwd"),
    "unknown country form": _address(country="Germany"),
    "address with an unknown field": _address(line9="x"),
    "deadline of zero": an_order(deadline_s=0),
    "deadline of two days": an_order(deadline_s=172_800),
    "fault at a step that does not exist": _fault(step="make_coffee"),
    "fault of an unknown kind": _fault(kind="meteor"),
    "fault that refuses with an undeclared code": _fault(kind="refuse", code="CARD_DECLINED"),
    "fault with a code that is no refusal": _fault(code="OUT_OF_STOCK"),
    "fault at a compensation that there is not": _fault(step="confirm_order", phase="compensation"),
    "refusal of the fence": _fault(step="capture_payment", phase="compensation", kind="refuse"),
    "fault with a delay that is neither slow nor late": _fault(delay_ms=100),
    "slow fault without a delay": _fault(kind="slow"),
    "fault with a delay of an hour": _fault(kind="slow", delay_ms=3_600_000),
    "fault with a moment that is no crash": _fault(moment="before"),
    "crash of the worker at an unknown moment": _fault(kind="crash_worker", moment="during"),
    "crash of the worker for ever": _fault(kind="crash_worker", times="always"),
    "policy with an unknown field": an_order(policy={"patience": 3}),
    "policy whose fast attempt outlasts a workflow task": an_order(policy={"fast_timeout_s": 2.5}),
    "fault zero times": _fault(times=0),
    "101 faults": an_order(faults=[{"step": "book_shipment", "kind": "error"}] * 101),
}

MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "cut off": b'{"customer_id": "cust-1"',
    "not JSON": b"customer_id=cust-1",
    "invalid UTF-8": b'{"customer_id": "\xff\xfe"}',
    "lone surrogate": b'{"customer_id": "\\ud800"}',
    "deep nesting": b"[" * 100_000,
    "deep objects": b'{"a":' * 40_000,
    "two documents": b"{} {}",
    "byte order mark": b"\xef\xbb\xbf{}",
}

ODD_NUMBERS = ["NaN", "Infinity", "-Infinity", "1e400", "9" * 5000, "1e-400", "-0"]


@pytest.fixture
async def key(api: ApiBench) -> AsyncIterator[str]:
    """A key for a request that must leave nothing behind, which is checked."""
    key = f"bad-{uuid4()}"
    yield key
    assert (await api.http.get(f"/orders/{order_id_of(key)}")).status_code == 404
    assert saga_id_of(order_id_of(key)) not in api.world.calls


def assert_problem(response: httpx.Response, status: int, code: str | None = None) -> None:
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == PROBLEM_MEDIA_TYPE
    problem = response.json()
    assert problem["status"] == status
    assert {"type", "title", "code", "detail"} <= set(problem)
    assert code in (None, problem["code"]), problem
    assert "Traceback" not in response.text


@pytest.mark.parametrize("name", INVALID)
async def test_order_when_invalid_then_422(api: ApiBench, key: str, name: str) -> None:
    body = json.dumps(INVALID[name])

    response = await api.http.post("/orders", content=body, headers={**JSON, "Idempotency-Key": key})

    assert_problem(response, 422)
    assert response.headers["Idempotency-Key"] == key
    assert response.json()["errors"]


@pytest.mark.parametrize("name", MALFORMED)
async def test_order_when_malformed_then_400(api: ApiBench, key: str, name: str) -> None:
    response = await api.http.post("/orders", content=MALFORMED[name], headers={**JSON, "Idempotency-Key": key})

    assert_problem(response, 400, "MALFORMED_JSON")


@pytest.mark.parametrize("number", ODD_NUMBERS)
@pytest.mark.parametrize("field", ["quantity", "deadline_s"])
async def test_number_when_odd_then_a_problem(api: ApiBench, key: str, field: str, number: str) -> None:
    body = json.dumps(_line(quantity="@") if field == "quantity" else an_order(deadline_s="@"))

    response = await api.http.post(
        "/orders", content=body.replace('"@"', number), headers={**JSON, "Idempotency-Key": key}
    )

    assert response.status_code in (400, 422) or number == "1e-400"
    assert_problem(response, response.status_code)


async def test_order_when_not_json_by_its_type_then_415(api: ApiBench, key: str) -> None:
    response = await api.http.post("/orders", data={"customer_id": "cust-1"}, headers={"Idempotency-Key": key})

    assert_problem(response, 415, "NOT_JSON")


async def test_body_when_too_large_then_413(api: ApiBench, key: str) -> None:
    response = await api.http.post("/orders", json=an_order(customer_id="x" * 10**6), headers={"Idempotency-Key": key})

    assert_problem(response, 413, "BODY_TOO_LARGE")
    assert response.headers["Idempotency-Key"] == key


async def test_body_when_too_large_in_chunks_then_413(api: ApiBench, key: str) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b" " * 1024

    response = await api.http.post("/orders", content=chunks(), headers={**JSON, "Idempotency-Key": key})

    assert "content-length" not in response.request.headers
    assert_problem(response, 413, "BODY_TOO_LARGE")


class TestKeys:
    @pytest.mark.parametrize("bad", ["x" * 256, "", "tab\there", "caf\xe9", "\x7f"])
    async def test_key_when_not_one_then_422(self, api: ApiBench, bad: str) -> None:
        response = await api.http.post("/orders", json=an_order(), headers={b"Idempotency-Key": bad.encode("latin-1")})

        assert_problem(response, 422)
        assert "Idempotency-Key" not in response.headers

    async def test_key_when_given_twice_then_422(self, api: ApiBench) -> None:
        response = await api.http.post(
            "/orders", json=an_order(), headers=[("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
        )

        assert_problem(response, 422)

    @pytest.mark.parametrize("good", ["x" * 255, " ", "~", "key with spaces, and (signs)"])
    async def test_key_when_printable_then_taken(self, api: ApiBench, good: str) -> None:
        response = await api.order(key=good)

        assert response.status_code == 202
        assert response.headers["Idempotency-Key"] == good


@pytest.mark.parametrize(
    "prefer", ["wait", "wait=", "wait=soon", "wait=-1", "wait=1.5", "respond-async", ";;;,,,=", "wait=" + "9" * 40]
)
async def test_prefer_when_nonsense_then_ignored(api: ApiBench, prefer: str) -> None:
    response = await api.http.post("/orders", json=an_order(), headers={"Prefer": prefer})

    assert response.status_code == 202
    assert "Preference-Applied" not in response.headers


async def test_prefer_when_among_others_then_found(api: ApiBench) -> None:
    headers = [("Prefer", "respond-async, WAIT = 20; foo=bar"), ("Prefer", "wait=0")]

    response = await api.http.post("/orders", json=an_order(), headers=headers)

    assert (response.status_code, response.headers["Preference-Applied"]) == (200, "wait=20")


@pytest.mark.parametrize(
    "order_id",
    [
        *("1", "not-an-id", "0f0c7a4e5d345e5c9f0a3c1b3ddc3f52", "{0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52}", "%2e%2e"),
        *("%2e%2e%2f%2e%2e%2fetc%2fpasswd", "%00", "a%2Fb", "%ff", "%ED%A0%80", "x" * 5000, "order-0f0c7a4e", "*"),
    ],
)
@pytest.mark.parametrize("rest", ["", "/history", "/events", "/audit"])
async def test_order_id_when_none_then_404(api: ApiBench, order_id: str, rest: str) -> None:
    # A client would tidy the path up; what a server gets to see is the raw one.
    request = api.http.build_request("GET", httpx.URL("http://api.test", raw_path=f"/orders/{order_id}{rest}".encode()))

    response = await api.http.send(request)

    assert_problem(response, 404, "ORDER_NOT_FOUND")
    # Nothing of what was asked for comes back.
    assert response.json()["detail"].startswith("there is no such order")


async def test_order_when_20_000_fields_are_unknown_then_not_all_are_told(api: ApiBench, key: str) -> None:
    body = an_order(**{f"u{number}": 1 for number in range(20_000)})

    response = await api.http.post("/orders", json=body, headers={"Idempotency-Key": key})

    assert_problem(response, 422, "MALFORMED")
    assert len(response.json()["errors"]) == 50
    assert len(response.content) < 20_000


@pytest.mark.parametrize("call", ["", "/history", "/history?format=temporal", "/events", "/audit"])
async def test_order_when_unknown_then_404(api: ApiBench, call: str) -> None:
    assert_problem(await api.http.get(f"/orders/{uuid4()}{call}"), 404, "ORDER_NOT_FOUND")


@pytest.mark.parametrize(
    "path",
    ["/views/orders/x", "/views/orders/", "/views/orders/a%2Fb", "/views/orders/6eeaa3cc-6625-42a5-9944-f722f0ac2f1a"],
)
async def test_view_when_of_no_order_then_404(api: ApiBench, path: str) -> None:
    assert_problem(await api.http.get(path), 404, "ORDER_NOT_FOUND")


@pytest.mark.parametrize("call", ["cancel", "decisions"])
async def test_order_when_unknown_then_nothing_can_be_asked_of_it(api: ApiBench, call: str) -> None:
    decision = {"step": "book_shipment", "decision": "retry", "reason": "x"}

    assert_problem(await api.http.post(f"/orders/{uuid4()}/{call}", json=decision), 404, "ORDER_NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/orders"),
        ("PUT", "/orders"),
        ("PATCH", "/orders/6eeaa3cc-6625-42a5-9944-f722f0ac2f1a"),
        ("GET", "/orders/6eeaa3cc-6625-42a5-9944-f722f0ac2f1a/cancel"),
    ],
)
async def test_method_when_wrong_then_405(api: ApiBench, method: str, path: str) -> None:
    response = await api.http.request(method, path)

    assert_problem(response, 405, "METHOD_NOT_ALLOWED")
    assert response.headers["Allow"]


@pytest.mark.parametrize("sku", ["", "%00", "a%2Fb", "a/b", "%ff", "x" * 201, "..%2f..", "-", "*"])
async def test_sku_when_none_then_404(api: ApiBench, sku: str) -> None:
    request = api.http.build_request("GET", httpx.URL("http://api.test", raw_path=f"/stock/{sku}".encode()))

    response = await api.http.send(request)

    assert_problem(response, 404, "SKU_NOT_FOUND")
    assert response.json()["detail"].startswith("there is no such SKU")


@pytest.mark.parametrize("path", ["/", "/nothing", "/orders/", "/sagas/nothing", "/views", "/views/orders"])
async def test_path_when_unknown_then_404(api: ApiBench, path: str) -> None:
    assert_problem(await api.http.get(path), 404)


@pytest.mark.parametrize("query", ["after=-1", "after=x", f"after={2**64}", "limit=0", "limit=x", "format=xml"])
async def test_history_when_badly_asked_then_422(api: ApiBench, query: str) -> None:
    assert_problem(await api.http.get(f"/orders/{uuid4()}/history?{query}"), 422, "MALFORMED")


@pytest.mark.parametrize(
    ("query", "name"),
    [
        *(("status=running", "status"), ("status=", "status"), ("cause=bad-luck", "cause")),
        *(("customer=", "customer"), ("customer=%00", "customer"), ("customer=" + "x" * 201, "customer")),
        *(("from=2026-10-01T09:30:00", "from"), ("from=2026-10-01", "from"), ("from=2026", "from"), ("to=x", "to")),
        *(("to=0001-01-01T00:00:00%2B14:00", "to"), ("from=2026-13-01T00:00:00Z", "from")),
        *(("after=never-handed-out", "after"), ("after=", "after"), ("after=" + "x" * 201, "after")),
        *(("limit=0", "limit"), ("limit=-1", "limit"), ("limit=x", "limit"), (f"limit={2**64}", "limit")),
        *(("stat=pending", "stat"), ("placed_from=2026-10-01T09:30:00Z", "placed_from")),
    ],
)
async def test_list_when_badly_asked_then_422_naming_the_parameter(api: ApiBench, query: str, name: str) -> None:
    response = await api.http.get(f"/orders?{query}")

    assert_problem(response, 422, "MALFORMED")
    assert [error["loc"] for error in response.json()["errors"]] == [["query", name]]
    assert response.json()["detail"].startswith(f"query.{name}: ")


@pytest.mark.parametrize("path", ["/views/orders/6eeaa3cc-6625-42a5-9944-f722f0ac2f1a", "/stock/BOOK-1"])
@pytest.mark.parametrize("query", ["at=yesterday", "at=2026-10-01T09:30:00", "at=1", "when=2026-10-01T09:30:00Z"])
async def test_view_when_badly_asked_then_422(api: ApiBench, path: str, query: str) -> None:
    assert_problem(await api.http.get(f"{path}?{query}"), 422, "MALFORMED")


@pytest.mark.parametrize("body", [_fault(), an_order(policy={"stuck_after": 2})], ids=["faults", "policy"])
async def test_faults_when_injection_is_off_then_403(api: ApiBench, key: str, body: dict[str, Any]) -> None:
    app = create_app(settings=settings_for(api.environment, fault_injection=False), transport=api.paper.transport())
    async with serving(app) as http:
        response = await http.post("/orders", json=body, headers={"Idempotency-Key": key})

    assert_problem(response, 403, "FAULT_INJECTION_DISABLED")


async def test_fault_when_it_makes_sense_then_taken(api: ApiBench) -> None:
    faults = [{"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK", "times": "always"}]

    assert (await api.order(faults=faults)).status_code == 202


async def test_fault_in_the_api_when_unforeseen_then_500_without_internals(api: ApiBench) -> None:
    app = create_app(settings=settings_for(api.environment), transport=api.paper.transport())
    async with serving(app) as http:
        app.state.sagas = None
        response = await http.post("/orders", json=an_order(), headers={"Idempotency-Key": "k"})

    assert_problem(response, 500, "INTERNAL")
    assert response.headers["Idempotency-Key"] == "k"
    assert "NoneType" not in response.text
