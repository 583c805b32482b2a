import sys
from pathlib import Path

import pytest

from run.engine import engine_command, find_cli
from run.errors import CannotRun
from run.settings import Settings
from workflows.names import SEARCH_ATTRIBUTES


def program(path: Path) -> str:
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


class TestFindingTheCli:
    def test_cli_when_set_is_taken(self, tmp_path: Path) -> None:
        cli = program(tmp_path / "my-temporal")

        assert find_cli(Settings(temporal_cli=Path(cli))) == cli

    def test_cli_when_set_wrong_is_named(self) -> None:
        with pytest.raises(CannotRun, match="AMENDS_TEMPORAL_CLI"):
            find_cli(Settings(temporal_cli=Path("/nowhere/temporal")))

    def test_cli_when_on_path_goes_before_the_wheels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        cli = program(tmp_path / "temporal")
        monkeypatch.setenv("PATH", str(tmp_path))

        assert find_cli(Settings(temporal_cli=None)) == cli

    def test_cli_when_not_on_path_is_the_wheels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        assert find_cli(Settings(temporal_cli=None)) == str(Path(sys.executable).with_name("temporal"))

    def test_cli_when_missing_is_asked_for_in_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))

        with pytest.raises(CannotRun, match="make install") as caught:
            find_cli(Settings(temporal_cli=None))

        assert "\n" not in str(caught.value)


class TestCommand:
    def test_command_when_built_names_every_port_and_the_file(self) -> None:
        settings = Settings(
            engine_port=1, engine_ui_port=2, engine_http_port=3, engine_metrics_port=4, data_dir=Path("/d")
        )

        command = " ".join(engine_command(settings, "temporal"))

        assert command.startswith("temporal server start-dev ")
        assert "--port 1 --ui-port 2 --http-port 3 --metrics-port 4" in command
        assert "--db-filename /d/temporal.db" in command

    def test_command_when_built_registers_every_search_attribute(self) -> None:
        command = engine_command(Settings(), "temporal")

        assert {f"{key.name}=Keyword" for key in SEARCH_ATTRIBUTES} <= set(command)
