"""A minute of chaos: nothing is lost, doubled or left behind, whatever dies."""

import json
from pathlib import Path

import pytest

from tests.support.proving import WITHIN_S, run_long
from tests.support.system import System

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(WITHIN_S)]


async def test_chaos_when_parts_die_for_a_minute_then_everything_comes_to_rest(system: System, tmp_path: Path) -> None:
    report_file = tmp_path / "chaos.json"

    ended = await run_long(
        system, "chaos", "--minutes", "1", "--seed", "7", "--customers", "4", "--out", str(report_file)
    )

    assert ended.exit_code == 0, ended.said
    report = json.loads(report_file.read_text())
    assert report["problems"] == []
    assert len(report["kills"]) >= 5, ended.said
    assert report["orders"] == sum(report["outcomes"].values()) > 0
    assert sum(report["faults"].values()) > 0
    for part in system.parts:
        await system.healthy(part)
