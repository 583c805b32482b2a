"""The verbs that a person uses on a running system."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from run.settings import ROOT
from tests.support.eventually import eventually
from tests.support.system import System, run_verb

pytestmark = pytest.mark.e2e

OUT_OF_STOCK = {"step": "book_shipment", "kind": "refuse", "code": "OUT_OF_STOCK"}
NO_WAY_BACK = {"step": "place_order", "phase": "compensation", "kind": "error", "times": "always"}


class Terminal:
    """A person at a terminal."""

    def __init__(self, system: System, folder: Path) -> None:
        self._system = system
        self._folder = folder

    def run(self, *verb: str, exit_code: int = 0) -> str:
        """What the verb prints, on either stream."""
        ended = run_verb(*verb, data_dir=self._system.data_dir)
        assert ended.returncode == exit_code, ended.stderr
        return ended.stdout + ended.stderr

    def order_file(self, **changed: Any) -> str:
        order = json.loads((ROOT / "examples" / "order.json").read_text())
        file = self._folder / f"{uuid4().hex}.json"
        file.write_text(json.dumps(order | changed))
        return str(file)

    def order(self, **changed: Any) -> str:
        """Places an order; its id."""
        placed = self.run("order", self.order_file(**changed), "--wait", "10")
        return placed.split()[1]


@pytest.fixture
def terminal(system: System, tmp_path: Path) -> Terminal:
    return Terminal(system, tmp_path)


def test_order_when_given_the_same_key_is_the_same_order(terminal: Terminal) -> None:
    file, key = terminal.order_file(), str(uuid4())

    first = json.loads(terminal.run("order", file, "--key", key, "--json"))
    second = json.loads(terminal.run("order", file, "--key", key, "--json"))

    assert first["order_id"] == second["order_id"]


def test_order_when_malformed_is_explained_line_by_line(terminal: Terminal) -> None:
    said = terminal.run("order", terminal.order_file(lines=[], currency="XXX"), exit_code=1)

    assert said.startswith("amends: MALFORMED")
    assert "\n  lines: " in said
    assert "\n  currency: " in said


def test_history_when_an_order_was_refused_tells_how_it_was_undone(terminal: Terminal) -> None:
    order_id = terminal.order(faults=[OUT_OF_STOCK])

    told = terminal.run("history", order_id)

    assert "book_shipment was refused: OUT_OF_STOCK" in told
    assert "reject_order (undoing place_order) was done" in told


def test_cancel_when_too_late_says_so(terminal: Terminal) -> None:
    assert "TOO_LATE" in terminal.run("cancel", terminal.order(), exit_code=1)


async def test_stuck_step_when_decided_goes_on(terminal: Terminal) -> None:
    order_id = terminal.order(faults=[OUT_OF_STOCK, NO_WAY_BACK])
    await eventually(lambda: "stuck" in terminal.run("show", order_id).splitlines()[0], within_s=20)

    terminal.run("decide", order_id, "place_order", "retry", "--reason", "it is back", "--without-faults")

    await eventually(lambda: " compensated" in terminal.run("show", order_id).splitlines()[0], within_s=20)


def test_stock_when_received_twice_with_one_key_grows_once(terminal: Terminal) -> None:
    sku, key = f"NEW-{uuid4().hex[:8]}", str(uuid4())

    for _ in range(2):
        terminal.run("stock", "receive", sku, "5", "--key", key)

    rows = {row.split()[0]: row.split()[1:] for row in terminal.run("stock").splitlines()}
    assert rows[sku] == ["5", "5", "0", "0"]
