"""The verbs that a person uses on a running system."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
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

    def order(self, *, wait_s: int = 10, **changed: Any) -> str:
        """Places an order; its id."""
        placed = self.run("order", self.order_file(**changed), "--wait", str(wait_s))
        return placed.split()[1]


@pytest.fixture
def terminal(system: System, tmp_path: Path) -> Terminal:
    return Terminal(system, tmp_path)


def test_order_when_given_the_same_key_is_the_same_order(terminal: Terminal) -> None:
    file, key = terminal.order_file(), str(uuid4())

    first = json.loads(terminal.run("order", file, "--key", key, "--json"))
    second = json.loads(terminal.run("order", file, "--key", key, "--json"))

    assert first["order_id"] == second["order_id"]


def test_return_when_asked_for_is_shown_and_audited_like_an_order(terminal: Terminal) -> None:
    order_id = terminal.order()

    printed = terminal.run("return", order_id, "--wait", "10")

    named, return_id, status = printed.split()[:3]
    assert (named, status) == ("return", "completed")
    assert "refund_payment" in terminal.run("show", return_id)
    assert "The saga completed." in terminal.run("history", return_id)
    terminal.run("audit", return_id)
    terminal.run("audit", order_id)
    assert "TOO_LATE" in terminal.run("cancel", return_id, exit_code=1)


def test_order_when_placed_again_is_a_new_one_that_meets_the_same_faults(terminal: Terminal) -> None:
    first = terminal.order(faults=[OUT_OF_STOCK])

    again = terminal.run("order", "again", first, "--wait", "10")

    assert again.split()[1] != first
    assert "compensated, because refused" in again
    assert terminal.run("order", "again", "0" * 8, exit_code=1).startswith("amends: ORDER_NOT_FOUND")


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
    order_id = terminal.order(wait_s=0, faults=[OUT_OF_STOCK, NO_WAY_BACK])
    await eventually(lambda: "stuck" in terminal.run("show", order_id).splitlines()[0], within_s=20, every_s=0.3)

    terminal.run("decide", order_id, "place_order", "retry", "--reason", "it is back", "--without-faults")

    await eventually(lambda: " compensated" in terminal.run("show", order_id).splitlines()[0], within_s=20, every_s=0.3)


def test_stock_when_received_twice_with_one_key_grows_once(terminal: Terminal) -> None:
    sku, key = f"NEW-{uuid4().hex[:8]}", str(uuid4())

    for _ in range(2):
        terminal.run("stock", "receive", sku, "5", "--key", key)

    rows = {row.split()[0]: row.split()[1:] for row in terminal.run("stock").splitlines()}
    assert rows[sku] == ["5", "5", "0", "0", "0"]


class TestConsumers:
    async def test_lag_when_nothing_happens_is_none_and_all_logs_are_there(self, terminal: Terminal) -> None:
        terminal.order()

        def is_even() -> bool:
            rows = [line.split() for line in terminal.run("lag").splitlines()[1:]]
            assert [(row[0], row[2]) for row in rows] == [
                *((one, service) for one in ("views", "notifications") for service in ("order", "payment", "shipping")),
                ("listener", "shipping"),
            ]
            return all((row[1], row[5], row[6]) == ("ready", "0", "0") for row in rows)

        await eventually(is_even, within_s=20, every_s=0.2)

    async def test_rebuild_when_asked_for_serves_the_same_orders_from_a_new_generation(
        self, terminal: Terminal, system: System
    ) -> None:
        order_id = terminal.order()
        await eventually(lambda: order_id in terminal.run("orders", "--limit", "1"), within_s=20, every_s=0.2)
        before = health_of(system)

        terminal.run("rebuild")

        await eventually(lambda: health_of(system)["generation"] > before["generation"], within_s=30, every_s=0.2)
        assert order_id in terminal.run("orders", "--limit", "1")

    def test_dead_letters_when_there_are_none_are_none(self, terminal: Terminal) -> None:
        assert "ValueError" not in terminal.run("dead-letters", "list", "notifications")
        assert terminal.run("dead-letters", "replay", "views") == "No stream is parked.\n"
        refused = terminal.run("dead-letters", "drop", "views", "order", "no-such-stream", "1", exit_code=1)
        assert refused == "amends: STREAM_NOT_PARKED: stream no-such-stream of the order service is not parked\n"

    def test_asyncapi_when_printed_describes_events_by_their_routing_keys(self, terminal: Terminal) -> None:
        document = terminal.run("asyncapi")

        assert json.loads(document)["asyncapi"].startswith("3.")
        assert "order.OrderPlaced" in document

    async def test_log_when_renewed_is_followed_anew(self, terminal: Terminal, system: System) -> None:
        order_id = terminal.order()
        before = health_of(system)

        terminal.run("renew-log", "order")

        await eventually(lambda: health_of(system)["generation"] > before["generation"], within_s=30, every_s=0.2)
        await eventually(lambda: order_id in terminal.run("orders", "--limit", "1"), within_s=20, every_s=0.2)


def health_of(system: System) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{system.urls.views}/health/ready", trust_env=False).json()
    return found
