"""What `up` promises about processes, on the real system.

Starting one takes seconds, so tests in a row share it, the last of them with its end. What is true of every system is
looked at wherever one runs: `running_system` stops it by SIGTERM, and `restarted` kills a part.
"""

import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import httpx
import psutil
import pytest

from tests.support.eventually import eventually
from tests.support.system import NO_CONSUMERS, PARTS, System, alive, gone, run_verb, running_system

pytestmark = pytest.mark.e2e


class Abandoned(NamedTuple):
    """What a killed supervisor has left."""

    data_dir: Path
    order_url: str
    frozen: int
    """The process of the order service."""
    pids: set[int]
    """Of all parts."""


@pytest.fixture(scope="module")
async def lodger(system: System, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[System]:
    """A second system, in the first one's Temporal."""
    given = {"TEMPORAL_ADDRESS": system.urls.temporal, "NAMESPACE": "elsewhere"}
    async with running_system(tmp_path_factory.mktemp("lodger"), {**NO_CONSUMERS, **given}) as lodger:
        yield lodger


@pytest.fixture(scope="module")
async def abandoned(tmp_path_factory: pytest.TempPathFactory) -> Abandoned:
    killed = System(tmp_path_factory.mktemp("killed"), NO_CONSUMERS)
    await killed.start()
    abandoned = Abandoned(killed.data_dir, killed.urls.order, killed.pid("order"), set(killed.pids()))
    killed.pause("order")  # so that it outlives its supervisor on any system
    killed.abandon()
    return abandoned


@pytest.fixture(scope="module")
async def again(abandoned: Abandoned) -> AsyncIterator[System]:
    """Called with the same data and, for the order service, the same port."""
    port = abandoned.order_url.rpartition(":")[2]
    async with running_system(abandoned.data_dir, {**NO_CONSUMERS, "ORDER_PORT": port}) as again:
        yield again


async def test_up_when_ready_answers_at_every_address_and_says_where(system: System) -> None:
    urls = system.urls

    async with httpx.AsyncClient(trust_env=False) as http:
        for url in (urls.order, urls.payment, urls.shipping, urls.api):
            assert (await http.get(f"{url}/health/ready")).status_code == httpx.codes.OK
        assert (await http.get(urls.temporal_ui, follow_redirects=True)).status_code == httpx.codes.OK
    assert f"{urls.api}/docs" in system.output
    assert urls.temporal_ui in system.output


async def test_status_when_running_shows_each_part_with_its_process(system: System) -> None:
    shown = run_verb("status", data_dir=system.data_dir).stdout

    rows = {row.split()[0]: row.split() for row in shown.splitlines() if row}
    assert {part: rows[part][1:3] for part in PARTS} == {part: ["healthy", str(system.pid(part))] for part in PARTS}


async def test_up_when_one_runs_already_says_so_and_leaves_it_alone(system: System) -> None:
    pids = system.pids()

    second = run_verb("up", data_dir=system.data_dir)

    assert second.returncode == 1
    assert f"already running on {system.data_dir} (process {system.supervisor_pid})" in second.stderr
    assert alive(pids) == pids


async def test_up_when_a_port_is_taken_names_it_and_starts_nothing(system: System, tmp_path: Path) -> None:
    port = system.urls.payment.rpartition(":")[2]

    second = run_verb("up", data_dir=tmp_path, settings={"PAYMENT_PORT": port})

    assert second.returncode == 1
    assert f"port {port} of the payment service is in use by process {system.pid('payment')}" in second.stderr
    assert "AMENDS_PAYMENT_PORT" in second.stderr
    assert not (tmp_path / "run" / "state.json").exists()


async def test_order_when_placed_at_the_command_line_completes_and_is_clean(system: System) -> None:
    placed = run_verb("order", "examples/order.json", "--wait", "20", data_dir=system.data_dir)

    assert placed.returncode == 0, placed.stderr
    order_id = placed.stdout.split()[1]
    assert f"order {order_id} completed" in placed.stdout
    audited = run_verb("audit", order_id, data_dir=system.data_dir)
    assert (audited.returncode, audited.stdout.splitlines()[-1]) == (0, "completed, and clean")


class TestGivenTemporal:
    async def test_up_when_given_a_temporal_prepares_and_uses_it(self, system: System, lodger: System) -> None:
        placed = run_verb("order", "examples/order.json", "--wait", "20", data_dir=lodger.data_dir)

        assert "engine" not in lodger.state.parts
        assert lodger.urls.temporal == system.urls.temporal
        assert " completed" in placed.stdout, placed.stderr

    async def test_down_when_parts_are_frozen_ends_everything(self, lodger: System) -> None:
        pids = [*lodger.pids(), lodger.supervisor_pid]
        lodger.pause("worker")
        lodger.pause("order")

        down = run_verb("down", data_dir=lodger.data_dir)

        assert (down.returncode, down.stdout) == (0, "Stopped.\n")
        await gone(pids)


class TestReset:
    async def test_reset_when_confirmed_stops_everything_and_deletes_only_our_data(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        async with running_system(tmp_path) as system:
            pids = system.pids()

            reset = run_verb("reset", "--yes", data_dir=tmp_path)

        assert reset.returncode == 0, reset.stderr
        assert alive(pids) == []
        assert _names_in(tmp_path) == {"logs", "run", "thesis.txt", "up.out"}

    async def test_reset_when_not_confirmed_deletes_nothing(self, system: System) -> None:
        assert run_verb("reset", data_dir=system.data_dir).returncode == 1

        assert (system.data_dir / "order.db").exists()


class TestKilledSupervisor:
    @pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells processes that their parent is gone")
    async def test_parts_when_their_supervisor_is_killed_end_too(self, abandoned: Abandoned) -> None:
        await gone([*abandoned.pids - {abandoned.frozen}])

    async def test_leftovers_when_up_is_called_again_are_ended_first(self, abandoned: Abandoned, again: System) -> None:
        assert alive([abandoned.frozen]) == []
        assert again.urls.order == abandoned.order_url

    async def test_interrupt_when_sent_to_up_ends_all_it_started_and_nothing_else(
        self, system: System, again: System
    ) -> None:
        others, pids = system.pids(), again.pids()

        code = again.stop(signal.SIGINT)

        assert code == 0
        assert alive(pids) == []
        assert alive(others) == others


class TestBadStart:
    def test_data_folder_when_unwritable_is_named(self, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.touch()

        up = run_verb("up", data_dir=file / "data")

        assert up.returncode == 1
        assert up.stderr.startswith(f"amends: cannot write to {file / 'data'}")
        assert "AMENDS_DATA_DIR" in up.stderr
        assert up.stderr.count("\n") == 1

    def test_temporal_cli_when_missing_is_named(self, tmp_path: Path) -> None:
        up = run_verb("up", data_dir=tmp_path, settings={"TEMPORAL_CLI": str(tmp_path / "none")})

        assert up.returncode == 1
        assert up.stderr == f"amends: AMENDS_TEMPORAL_CLI: there is no program {tmp_path / 'none'}\n"

    def test_setting_when_bad_is_named(self, tmp_path: Path) -> None:
        up = run_verb("up", data_dir=tmp_path, settings={"API_PORT": "many"})

        assert up.returncode == 2
        assert up.stderr.startswith("amends: AMENDS_API_PORT: ")
        assert up.stderr.count("\n") == 1

    async def test_part_when_it_cannot_start_ends_the_start_with_its_own_words(
        self, system: System, tmp_path: Path
    ) -> None:
        given = {
            "TEMPORAL_ADDRESS": system.urls.temporal,
            "ORDER_URL": system.urls.order,
            "PAYMENT_URL": system.urls.payment,
        }

        up = run_verb(
            "up", data_dir=tmp_path, settings={**given, **NO_CONSUMERS, "STOCK_FILE": str(tmp_path / "none.toml")}
        )

        assert up.returncode == 1
        assert "shipping ended with exit code 1" in up.stderr
        assert "AMENDS_STOCK_FILE" in up.stderr
        await eventually(lambda: not [p for p in psutil.process_iter(["environ"]) if _runs_in(p, tmp_path)])


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _runs_in(process: psutil.Process, data_dir: Path) -> bool:
    return (process.info["environ"] or {}).get("AMENDS_DATA_DIR") == str(data_dir)
