"""Single processes, each started by its own verb, and the launcher."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from sqlalchemy import text

from run.databases import DatabaseName, schema_of
from run.settings import ROOT
from services.kernel.database import Database
from services.kernel.migrating import migrate
from tests.support.databases import postgres_url, require_postgres
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


class TestMigrate:
    def test_databases_when_migrated_again_are_left_alone(self, tmp_path: Path) -> None:
        first = run_verb("migrate", "order", "views", data_dir=tmp_path)

        again = run_verb("migrate", data_dir=tmp_path)

        assert first.stdout == "order was empty, and is now at kernel_0004\nviews was empty, and is now at views_0003\n"
        assert again.stdout.splitlines()[0] == "order is at kernel_0004"
        assert {path.stem for path in tmp_path.glob("*.db")} == set(DatabaseName)

    def test_database_when_it_is_anothers_is_refused(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path}/shared.db"
        run_verb("migrate", "order", data_dir=tmp_path, settings={"ORDER_DATABASE_URL": url})

        migrated = run_verb("migrate", "views", data_dir=tmp_path, settings={"VIEWS_DATABASE_URL": url})

        assert migrated.returncode == 1
        assert migrated.stderr == (
            "amends: the database of the views is at revision kernel_0004, which this version does not know\n"
        )

    def test_database_when_its_url_is_none_names_the_setting_and_not_the_password(self, tmp_path: Path) -> None:
        migrated = run_verb("migrate", data_dir=tmp_path, settings={"ORDER_DATABASE_URL": "mysql://u:secret@h/d"})

        assert (migrated.returncode, migrated.stderr.count("\n")) == (1, 1)
        assert migrated.stderr.startswith(
            "amends: AMENDS_ORDER_DATABASE_URL: a database URL must start with sqlite:///"
        )
        assert "secret" not in migrated.stderr


class TestService:
    @pytest.fixture(autouse=True)
    def migrated(self, tmp_path: Path) -> None:
        for name in ("order", "payment", "gateway"):
            with closing(Database(f"sqlite:///{tmp_path}/{name}.db")) as database:
                migrate(database, schema_of(name))

    def test_service_when_its_database_has_no_tables_says_so_in_one_line(self, tmp_path: Path) -> None:
        service = run_verb("service", "shipping", data_dir=tmp_path)

        says = "amends: the database of the shipping service has no tables yet: run ./amends migrate\n"
        assert (service.returncode, service.stdout, service.stderr) == (1, "", says)

    def test_service_when_its_database_is_at_another_revision_says_so_in_one_line(self, tmp_path: Path) -> None:
        with closing(Database(f"sqlite:///{tmp_path}/gateway.db")) as database, database.writing() as session:
            session.connection().execute(text("UPDATE alembic_version SET version_num = 'gateway_0000'"))

        service = run_verb("service", "payment", data_dir=tmp_path)

        says = (
            "amends: the database of the payment gateway simulator is at revision gateway_0000, "
            "this version needs gateway_0002: run ./amends migrate\n"
        )
        assert (service.returncode, service.stderr) == (1, says)

    def test_service_when_its_database_does_not_answer_says_so_in_one_line_without_the_password(
        self, tmp_path: Path
    ) -> None:
        settings = {"ORDER_DATABASE_URL": "postgresql://amends:secret@127.0.0.1:9/orders"}

        service = run_verb("service", "order", data_dir=tmp_path, settings=settings)

        says = (
            "amends: the database of the order service cannot be used: the database does not answer; "
            "AMENDS_ORDER_DATABASE_URL says where it is\n"
        )
        assert (service.returncode, service.stderr) == (1, says)

    @pytest.mark.parametrize("verb", [("migrate",), ("service", "order"), ("consumer", "listener")])
    @pytest.mark.parametrize(
        ("one", "other", "url"),
        [
            ("ORDER", "SHIPPING", "postgresql://amends:secret@127.0.0.1:9/orders"),
            ("RELAY", "LISTENER", "sqlite:////tmp/forwarders.db"),
        ],
    )
    def test_verb_when_two_parts_are_to_share_a_database_is_refused(
        self, tmp_path: Path, verb: tuple[str, ...], one: str, other: str, url: str
    ) -> None:
        settings = {f"{name}_DATABASE_URL": url for name in (one, other)}

        told = run_verb(*verb, data_dir=tmp_path, settings=settings)

        says = (
            f"amends: AMENDS_{one}_DATABASE_URL and AMENDS_{other}_DATABASE_URL name one database: "
            "each needs one of its own\n"
        )
        assert (told.returncode, told.stderr) == (1, says)

    @pytest.mark.parametrize("verb", [("migrate", "order"), ("service", "order")])
    @pytest.mark.parametrize(
        ("url", "why"),
        [
            ("postgresql://amends:secret@127.0.0.1:9/orders", "the database does not answer"),
            ("postgresql://amends:secret@127.0.0.1:9/orders?foo=bar", 'invalid connection option "foo"'),
            ("sqlite:////nowhere/order.db", "unable to open database file"),
        ],
    )
    def test_verb_when_its_database_cannot_be_used_says_why_in_one_line(
        self, tmp_path: Path, verb: tuple[str, ...], url: str, why: str
    ) -> None:
        told = run_verb(*verb, data_dir=tmp_path, settings={"ORDER_DATABASE_URL": url})

        says = (
            f"amends: the database of the order service cannot be used: {why}; "
            "AMENDS_ORDER_DATABASE_URL says where it is\n"
        )
        assert (told.returncode, told.stderr) == (1, says)

    @pytest.mark.postgres
    def test_service_when_its_database_does_not_exist_says_so(self, tmp_path: Path) -> None:
        require_postgres()

        settings = {"ORDER_DATABASE_URL": postgres_url("amends_is_not_there")}
        service = run_verb("service", "order", data_dir=tmp_path, settings=settings)

        assert service.returncode == 1
        assert '(database "amends_is_not_there" does not exist); AMENDS_ORDER_DATABASE_URL' in service.stderr

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


class _Ready(BaseHTTPRequestHandler):
    """A consumer that has taken everything."""

    def do_GET(self) -> None:
        source = {"position": 7, "head": 7, "lag": 0}
        body = json.dumps({"status": "ready", "sources": {"shipping": source}, "parked_streams": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_lag_when_the_consumers_run_elsewhere_asks_them_there(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Ready) as elsewhere:
        Thread(target=elsewhere.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{elsewhere.server_port}"
        consumers = ("VIEWS", "NOTIFICATIONS", "RELAY", "LISTENER")
        settings = {"EVENT_TRANSPORT": "rabbitmq", **{f"{name}_URL": url for name in consumers}}

        told = run_verb("lag", data_dir=tmp_path, settings=settings)
        elsewhere.shutdown()

    assert [line.split()[:2] for line in told.stdout.splitlines()[1:]] == [
        [name.lower(), "ready"] for name in consumers
    ]
