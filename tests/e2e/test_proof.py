"""The proof: no single fault has an end that was not foretold."""

from pathlib import Path

import pytest

from tests.support.proving import WITHIN_S, prove
from tests.support.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(WITHIN_S)]


async def test_proof_when_every_single_fault_is_tried_then_no_surprise(system: System, tmp_path: Path) -> None:
    proved = await prove(system, tmp_path, "--group", "single", "--group", "crash")

    assert proved.surprises == [], proved.said
    assert proved.exit_code == 0, proved.said
    assert {case["group"] for case in proved.cases} == {"single", "crash"}
    assert "proof.html" in proved.said


async def test_proof_when_nothing_is_selected_then_one_clear_error(system: System, tmp_path: Path) -> None:
    proved = await prove(system, tmp_path, "--only", "no such case")

    assert (proved.exit_code, proved.said.startswith("amends: no case is selected")) == (1, True), proved.said
