"""The proof: no single fault has an end that was not foretold."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proof.cases import Group
from proof.enumeration import enumerate_cases
from tests.support.proving import WITHIN_S, prove
from tests.support.system import NO_CONSUMERS, System, running_system
from workflows.order_saga import ORDER_SAGA_DEFINITION
from workflows.return_saga import RETURN_SAGA_DEFINITION

DEFINITIONS = {"order": ORDER_SAGA_DEFINITION, "return": RETURN_SAGA_DEFINITION}
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(WITHIN_S)]


@pytest.fixture(scope="module")
async def provable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A system with several workers, which die, and without those who only hear of what sagas do."""
    async with running_system(tmp_path_factory.mktemp("provable"), {"WORKERS": "4", **NO_CONSUMERS}) as system:
        yield system


@pytest.mark.parametrize("saga", ["order", "return"])
async def test_proof_when_every_single_fault_is_tried_then_no_surprise(
    provable: System, tmp_path: Path, saga: str
) -> None:
    proved = await prove(provable, tmp_path, "--saga", saga, "--group", "single")

    assert proved.surprises == [], proved.said
    assert proved.exit_code == 0, proved.said
    cases = enumerate_cases(saga, DEFINITIONS[saga].view())
    assert {case["name"] for case in proved.cases} == {case.name for case in cases if case.group is Group.SINGLE}
    assert "proof.html" in proved.said


async def test_proof_when_workers_die_before_or_after_an_effect_then_no_surprise(
    provable: System, tmp_path: Path
) -> None:
    # Each costs the start of a worker, so here it is some of them.
    proved = await prove(provable, tmp_path, "--group", "crash", "--sample", "8", "--seed", "1")

    assert proved.surprises == [], proved.said
    assert len(proved.cases) == 16, "eight of each saga"


async def test_proof_when_nothing_is_selected_then_one_clear_error(provable: System, tmp_path: Path) -> None:
    proved = await prove(provable, tmp_path, "--only", "no such case")

    assert (proved.exit_code, proved.said.startswith("amends: no case is selected")) == (1, True), proved.said
