"""What `up` starts."""

from pathlib import Path

from run.parts import parts_of, ready_files
from run.settings import Settings


def test_workers_when_several_are_wanted_are_parts_that_tell_of_themselves_apart(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, workers=3)

    parts = {part.name: part for part in parts_of(settings, cli=None) if "worker" in part.command}

    assert list(parts) == ["worker", "worker-2", "worker-3"]
    told = {name: part.env["AMENDS_READY_FILE"] for name, part in parts.items()}
    assert told == {name: str(path) for name, path in ready_files(settings).items()}
    assert len(set(told.values())) == 3
