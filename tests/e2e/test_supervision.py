"""What `up` promises about processes, on the real system."""

import signal
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.engine import dev_server
from tests.support.eventually import eventually
from tests.support.system import NO_CONSUMERS, PARTS, System, alive, gone, run_verb, running_system

pytestmark = pytest.mark.e2e


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


@pytest.mark.parametrize("part", PARTS)
async def test_part_when_killed_comes_back_at_the_same_address(system: System, part: str) -> None:
    before = system.state.parts[part].model_copy(deep=True)

    after = await system.restarted(part)

    assert after.process != before.process
    assert after.address == before.address
    assert f"{part} was ended by SIGKILL; starting it again" in system.output


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


async def test_up_when_given_a_temporal_prepares_and_uses_it(tmp_path: Path) -> None:
    async with dev_server() as temporal:
        address = temporal.client.service_client.config.target_host

        async with running_system(
            tmp_path, {**NO_CONSUMERS, "TEMPORAL_ADDRESS": address, "NAMESPACE": "elsewhere"}
        ) as system:
            placed = run_verb("order", "examples/order.json", "--wait", "20", data_dir=tmp_path)

            assert "engine" not in system.state.parts
            assert system.urls.temporal == address
            assert " completed" in placed.stdout, placed.stderr


class TestStopping:
    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    async def test_signal_when_sent_to_up_ends_all_it_started_and_nothing_else(
        self, system: System, tmp_path: Path, signum: int
    ) -> None:
        others = system.pids()
        async with running_system(tmp_path, NO_CONSUMERS) as other:
            pids = other.pids()

            code = other.stop(signum)

        assert code == 0
        assert alive(pids) == []
        assert alive(others) == others

    async def test_down_when_parts_are_frozen_ends_everything(self, tmp_path: Path) -> None:
        async with running_system(tmp_path, NO_CONSUMERS) as system:
            pids = [*system.pids(), system.supervisor_pid]
            system.pause("worker")
            system.pause("order")

            down = run_verb("down", data_dir=tmp_path)

            assert (down.returncode, down.stdout) == (0, "Stopped.\n")
            await gone(pids)

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
    async def test_parts_when_their_supervisor_is_killed_end_too(self, tmp_path: Path) -> None:
        system = System(tmp_path, NO_CONSUMERS)
        await system.start()
        pids = system.pids()

        system.abandon()

        await gone(pids)

    async def test_leftovers_when_up_is_called_again_are_ended_first(self, tmp_path: Path) -> None:
        system = System(tmp_path, NO_CONSUMERS)
        await system.start()
        left = system.pid("order")
        system.pause("order")  # so that it outlives its supervisor on any system
        port = system.urls.order.rpartition(":")[2]
        system.abandon()

        async with running_system(tmp_path, {**NO_CONSUMERS, "ORDER_PORT": port}) as again:
            assert alive([left]) == []
            assert again.urls.order.endswith(f":{port}")


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

    async def test_part_when_it_cannot_start_ends_the_start_with_its_own_words(self, tmp_path: Path) -> None:
        up = run_verb("up", data_dir=tmp_path, settings={"STOCK_FILE": str(tmp_path / "none.toml")})

        assert up.returncode == 1
        assert "shipping ended with exit code 1" in up.stderr
        assert "AMENDS_STOCK_FILE" in up.stderr
        await eventually(lambda: not [p for p in psutil.process_iter(["environ"]) if _runs_in(p, tmp_path)])


def _names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _runs_in(process: psutil.Process, data_dir: Path) -> bool:
    return (process.info["environ"] or {}).get("AMENDS_DATA_DIR") == str(data_dir)
