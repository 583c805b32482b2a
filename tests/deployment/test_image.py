"""The image's install steps, run in a clean folder instead of a container: what is left is what our processes need."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from run.settings import ROOT
from tests.support.compose_file import DOCKERFILE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]


def install_steps() -> list[str]:
    """The commands of the first stage."""
    first_stage = DOCKERFILE.read_text().split("\nFROM ")[1].replace("\\\n", "")
    return re.findall(r"^RUN (.+)$", first_stage, re.MULTILINE)


def test_image_when_built_step_by_step_runs_our_processes(tmp_path: Path) -> None:
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source = ROOT / line[1:]
            (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / source.name)
    steps = install_steps()
    assert len(steps) == 2

    for step in steps:
        command = step.replace("python -m venv", f"{sys.executable} -m venv")
        subprocess.run(["/bin/sh", "-euc", command], cwd=tmp_path, check=True, capture_output=True)

    for arguments in (["--help"], ["settings"]):
        shown = subprocess.run(
            [".venv/bin/python", "-m", "run", *arguments],
            cwd=tmp_path,
            env={"AMENDS_ENV_FILE": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert shown.returncode == 0, shown.stderr
    imports = (
        "import run.worker, run.supervisor, api.app, services.order.app, services.payment.app, services.shipping.app"
    )
    subprocess.run([".venv/bin/python", "-c", imports + ", services.views.app"], cwd=tmp_path, check=True)
    assert not (tmp_path / ".venv/bin/temporal").exists()
