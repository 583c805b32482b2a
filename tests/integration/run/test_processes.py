"""Single processes, each started by its own verb, and the launcher."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from run.settings import ROOT
from tests.support.system import environment, run_verb

pytestmark = pytest.mark.integration


@contextmanager
def process(*verb: str, data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A verb that stays, and the first line it says on standard output."""
    data_dir.mkdir(exist_ok=True)
    started = subprocess.Popen(
        [sys.executable, "-m", "run", *verb],
        cwd=ROOT,
        env=environment(data_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert started.stdout is not None
        yield started, started.stdout.readline().strip()
    finally:
        started.kill()
        started.communicate()


class TestService:
    def test_service_when_given_port_zero_reports_where_it_listens(self, tmp_path: Path) -> None:
        with process("service", "order", data_dir=tmp_path) as (_, said):
            url = said.removeprefix("amends-order listening on ")

            assert httpx.get(f"{url}/health/ready", trust_env=False).status_code == httpx.codes.OK

    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    def test_service_when_asked_to_stop_ends_well(self, tmp_path: Path, signum: int) -> None:
        with process("service", "payment", data_dir=tmp_path) as (service, _):
            service.send_signal(signum)
            _, logged = service.communicate(timeout=20)

            assert service.returncode == 0
            assert "Traceback" not in logged

    def test_service_when_its_port_is_taken_says_so_in_one_line(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            service = run_verb("service", "order", data_dir=tmp_path, settings={"ORDER_PORT": str(port)})

        assert service.returncode == 1
        assert service.stderr.startswith(f"amends: port {port} of the order service is in use by process {os.getpid()}")
        assert service.stderr.count("\n") == 1

    def test_service_when_unknown_is_refused(self, tmp_path: Path) -> None:
        assert run_verb("service", "billing", data_dir=tmp_path).returncode == 2


class TestWithoutTemporal:
    @pytest.mark.parametrize("verb", ["worker", "prepare"])
    def test_verb_when_temporal_does_not_answer_says_so_in_one_line(self, tmp_path: Path, verb: str) -> None:
        settings = {"TEMPORAL_ADDRESS": "127.0.0.1:1", "CONNECT_TIMEOUT_S": "0.2"}

        ended = run_verb(verb, data_dir=tmp_path, settings=settings)

        assert ended.returncode == 1
        assert ended.stderr == "amends: Temporal does not answer at 127.0.0.1:1\n"


class TestEngine:
    def test_engine_when_started_alone_prepares_its_namespace_and_stops_when_asked(self, tmp_path: Path) -> None:
        with process("engine", data_dir=tmp_path) as (engine, first):
            assert engine.stdout is not None
            lines = iter(engine.stdout.readline, "")
            said = (
                first if first.startswith("amends-engine") else next(x for x in lines if x.startswith("amends-engine"))
            )
            engine.send_signal(signal.SIGTERM)
            engine.communicate(timeout=20)

        assert "amends-engine listening on 127.0.0.1:" in said
        assert engine.returncode == 0
        assert (tmp_path / "temporal.db").exists()


class TestClient:
    def test_verb_when_nothing_runs_says_how_to_start_it(self, tmp_path: Path) -> None:
        shown = run_verb("show", "x", data_dir=tmp_path, settings={"API_URL": "http://127.0.0.1:1"})

        assert shown.returncode == 1
        assert "make up" in shown.stderr
        assert shown.stderr.count("\n") == 1

    @pytest.mark.parametrize("verb", ["status", "down"])
    def test_verb_when_nothing_runs_ends_plainly(self, tmp_path: Path, verb: str) -> None:
        ended = run_verb(verb, data_dir=tmp_path)

        assert "othing is running" in ended.stdout + ended.stderr
        assert "Traceback" not in ended.stderr


class TestLauncher:
    def test_launcher_when_called_from_elsewhere_reads_files_from_there(self, tmp_path: Path) -> None:
        ended = subprocess.run(
            [ROOT / "amends", "order", "my-order.json"],
            cwd=tmp_path,
            env=environment(tmp_path, {"API_URL": "http://127.0.0.1:1"}),
            capture_output=True,
            text=True,
            check=False,
        )

        assert ended.stderr == "amends: cannot read my-order.json: No such file or directory\n"

    def test_launcher_when_nothing_is_installed_says_what_to_do(self, tmp_path: Path) -> None:
        launcher = shutil.copy(ROOT / "amends", tmp_path)

        ended = subprocess.run([launcher, "up"], capture_output=True, text=True, check=False)

        assert ended.returncode == 1
        assert ended.stderr == f"amends: run make install first, in {tmp_path}\n"
