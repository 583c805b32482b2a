"""The README's commands do what it says.

By convention a `sh` block there is to be run, and a `json` block right after it tells what its last command answers,
abridged: members may be missing, and so may elements of lists, but not their order. The blocks are run one after
another in one shell, as a reader does. A block that only reads is run again until its answer is the promised one.
"""

import asyncio
import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from run.settings import ROOT
from tests.support.eventually import eventually
from tests.support.system import System

pytestmark = pytest.mark.e2e

API, NOTIFICATIONS = "http://127.0.0.1:8000", "http://127.0.0.1:8105"
_SECTION = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)
_BLOCK = re.compile(r"```sh\n(?P<script>.*?)```(?:\s*```json\n(?P<answer>.*?)```)?", re.DOTALL)
_RUN_WITHIN_S = 30


@dataclass(frozen=True, slots=True)
class Block:
    """A `sh` block, and what it is said to answer."""

    section: str
    script: str
    promised: Any
    """None where nothing is promised."""

    @property
    def only_reads(self) -> bool:
        return not re.search(r" (-d|-X) ", self.script)


class Shell:
    """Runs scripts one after another; `$order` outlives each."""

    def __init__(self, system: System) -> None:
        self._urls = system.urls
        self._order = ""

    def run(self, script: str) -> str:
        """What it prints. Raises AssertionError if one of its commands fails."""
        script = script.replace(API, self._urls.api).replace(NOTIFICATIONS, self._urls.notifications)
        keep = 'printf "\\n%s" "${order-}"'
        ended = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", f"order={self._order}\n{script}\n{keep}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=_RUN_WITHIN_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        printed, _, self._order = ended.stdout.rpartition("\n")
        return printed


def blocks() -> list[Block]:
    text = Path(ROOT / "README.md").read_text()
    found = []
    for heading, body in _sections(text):
        for block in _BLOCK.finditer(body):
            answer = block["answer"]
            found.append(Block(heading, block["script"], json.loads(answer) if answer else None))
    return found


def _sections(text: str) -> Iterator[tuple[str, str]]:
    parts = _SECTION.split(text)
    yield from zip(parts[1::2], parts[2::2], strict=True)


def missing(promised: Any, answer: Any, at: str = "$") -> list[str]:
    """What was promised and is not in the answer."""
    if isinstance(promised, dict) and isinstance(answer, dict):
        return [
            lack
            for name, value in promised.items()
            for lack in (missing(value, answer[name], f"{at}.{name}") if name in answer else [f"{at}.{name}"])
        ]
    if isinstance(promised, list) and isinstance(answer, list):
        rest = iter(answer)
        return [
            f"{at}[{place}]: {value!r}"
            for place, value in enumerate(promised)
            if not any(missing(value, element) == [] for element in rest)
        ]
    return [] if promised == answer else [f"{at}: {promised!r}, not {answer!r}"]


async def test_readme_when_its_commands_are_run_promises_what_they_answer(system: System) -> None:
    shell = Shell(system)

    for block in blocks():

        async def keeps_its_promise(block: Block = block) -> bool:
            printed = await asyncio.to_thread(shell.run, block.script)
            if block.promised is not None:
                lacking = missing(block.promised, json.loads(printed))
                assert lacking == [], f"{block.section}: {lacking} in {printed}"
            return True

        if block.only_reads:
            await eventually(keeps_its_promise, within_s=20, every_s=0.2)
        else:
            await keeps_its_promise()


def test_readme_when_read_promises_an_answer_in_each_section_with_commands() -> None:
    promising = {block.section for block in blocks() if block.promised is not None}

    assert promising == {block.section for block in blocks()}
    assert len(promising) >= 8


def test_readme_when_it_posts_says_that_it_sends_json() -> None:
    posting = [block.script for block in blocks() if " -d " in block.script]

    assert [script for script in posting if "-H 'Content-Type: application/json'" not in script] == []


@pytest.mark.parametrize(
    ("promised", "lacking"),
    [
        ({"a": 1}, []),
        ({"a": 2}, ["$.a: 2, not 1"]),
        ({"c": 1}, ["$.c"]),
        ({"b": [1, 3]}, []),
        ({"b": [3, 1]}, ["$.b[1]: 1"]),
    ],
)
def test_missing_when_asked_finds_what_was_promised_in_vain(promised: Any, lacking: list[str]) -> None:
    assert missing(promised, {"a": 1, "b": [1, 2, 3]}) == lacking
