"""Problem documents: what they repeat of an input, and how much."""

from uuid import UUID

import pytest
from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from api.temporal import _is_missing_setup
from api.web.problems import ApiProblem, malformed, not_found
from contracts.orders import Order
from tests.support.orders import an_order


def malformed_by(**fields: object) -> ApiProblem:
    with pytest.raises(ValidationError) as caught:
        Order.model_validate(an_order(**fields))
    return malformed(caught.value)


def test_errors_when_20_000_fields_are_unknown_then_50() -> None:
    problem = malformed_by(**{f"unknown-{number}": 1 for number in range(20_000)})

    assert len(problem.errors) == 50


def test_place_when_its_name_is_long_then_cut_everywhere() -> None:
    problem = malformed_by(**{"x" * 5000: 1})

    assert problem.errors[0]["loc"] == ["x" * 100]
    assert len(problem.detail) < 200


def test_order_not_found_when_an_id_then_repeated_else_not() -> None:
    known = UUID("0f0c7a4e-5d34-5e5c-9f0a-3c1b3ddc3f52")

    assert str(known) in not_found("order", known).detail
    assert not_found("order", None).detail == "there is no such order: its id is a UUID"


@pytest.mark.parametrize(
    ("message", "missing"),
    [
        ("Namespace amends has no mapping defined for search attribute CustomerId", True),
        ("search attribute CustomerId is not defined", True),
        ("invalid query: invalid search attribute: SagaStatus", True),
        ("Namespace nowhere is not found.", True),
        ("search attribute CustomerId value size 2102 exceeds size limit 2048", False),
    ],
)
def test_setup_when_temporal_refuses_then_missing_only_if_not_registered(message: str, missing: bool) -> None:
    assert _is_missing_setup(RPCError(message, RPCStatusCode.INVALID_ARGUMENT, b"")) is missing
