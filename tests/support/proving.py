"""The verbs that prove and that make chaos, as tests run them."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from run.settings import ROOT
from tests.support.system import System, environment

WITHIN_S = 600


@dataclass(frozen=True, slots=True)
class Ended:
    exit_code: int
    said: str


@dataclass(frozen=True, slots=True)
class Proved(Ended):
    folder: Path

    @property
    def cases(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads((self.folder / "proof.json").read_text())["cases"]
        return found

    @property
    def surprises(self) -> list[dict[str, Any]]:
        return [case for case in self.cases if case["verdict"] != "as predicted"]


async def run_long(system: System, *verb: str) -> Ended:
    """A verb that takes minutes, on a system that goes on meanwhile."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "run", *verb,
        cwd=ROOT,
        env=environment(system.data_dir, system.settings),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(WITHIN_S):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, said.decode())


async def prove(system: System, folder: Path, *arguments: str) -> Proved:
    """`amends prove`, with its report in the folder."""
    ended = await run_long(system, "prove", "--out", str(folder), *arguments)
    return Proved(ended.exit_code, ended.said, folder)
