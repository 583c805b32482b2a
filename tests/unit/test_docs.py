"""What the documents name exists: files, symbols, links, examples.

What the README's commands answer is tested in tests/e2e/test_readme.py, which needs a running system.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.faults import FaultKind
from contracts.orders import Order
from proof.cases import Group
from tests.mutations.catalogue import MUTATIONS

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.json"))

_CODE = re.compile(r"```.*?```", re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_NAMED = re.compile(r"`([\w./-]+\.(?:py|md|json|toml|sh))(?:::([\w.]+))?`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _documents() -> list[Path]:
    # Not whatever lies below the root: virtual environments hold thousands of documents that are not ours.
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")]
    return sorted([*ROOT.glob("*.md"), *(found for folder in folders for found in folder.rglob("*.md"))])


def _name(document: Path) -> str:
    return str(document.relative_to(ROOT))


def _prose(document: Path) -> str:
    return _CODE.sub("", document.read_text())


def _symbols(file: Path) -> set[str]:
    """What a module defines at its top, and in its classes as `Class.member`."""
    return set(_defined(ast.parse(file.read_text()).body))


def _defined(body: list[ast.stmt], within: str = "") -> Iterator[str]:
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield within + name
            case ast.ClassDef(name=name):
                yield within + name
                yield from _defined(node.body, f"{within}{name}.")
            case ast.Assign(targets=targets):
                yield from (within + target.id for target in targets if isinstance(target, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield within + name


def _anchors(document: Path) -> set[str]:
    """The headings as they stand in links."""
    headings = _HEADING.findall(_prose(document))
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", _documents(), ids=_name)
class TestDocument:
    def test_links_when_relative_lead_somewhere(self, document: Path) -> None:
        lost = []
        for link in _LINK.findall(_prose(document)):
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            if "://" not in link and not (target.exists() and (not anchor or anchor in _anchors(target))):
                lost.append(link)

        assert lost == []

    def test_files_when_named_with_their_folder_exist(self, document: Path) -> None:
        named = {path for path, _ in _NAMED.findall(_prose(document)) if "/" in path}

        assert {path for path in named if not (ROOT / path).exists()} == set()

    def test_symbols_when_named_with_their_file_are_defined_there(self, document: Path) -> None:
        named = [(path, symbol) for path, symbol in _NAMED.findall(_prose(document)) if symbol]

        assert [f"{path}::{symbol}" for path, symbol in named if symbol not in _symbols(ROOT / path)] == []


_EXCERPT = re.compile(r"^```python\n# (\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def test_your_own_saga_when_it_quotes_then_the_code_that_runs() -> None:
    """A block of Python names its file first; `…` stands for lines that are left out."""
    text = (ROOT / "docs" / "your-own-saga.md").read_text()
    excerpts = _EXCERPT.findall(text)

    assert len(excerpts) == text.count("```python") >= 10
    for file, excerpt in excerpts:
        code, found = (ROOT / file).read_text(), 0
        for part in excerpt.split("…\n"):
            found = code.find(part, found)
            assert found >= 0, f"{file} does not have, or not in this order:\n{part}"


def test_tour_when_read_has_eight_stops_that_each_name_a_symbol() -> None:
    stops = (ROOT / "docs" / "tour.md").read_text().split("\n## ")[1:]

    assert [bool(re.search(r"`[\w/]+\.py::\w", stop)) for stop in stops] == [True] * 8


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_example_when_parsed_is_an_order(example: Path) -> None:
    Order.model_validate_json(example.read_bytes())


@pytest.mark.parametrize("example", EXAMPLES, ids=_name)
def test_example_when_there_is_tried_in_the_readme(example: Path) -> None:
    assert f"@examples/{example.name}" in (ROOT / "README.md").read_text()


def test_table_of_mutations_when_read_is_that_of_the_code() -> None:
    rows = [f"| {mutation.bug} | `{mutation.case}` |" for mutation in MUTATIONS]

    assert "\n".join(["|---|---|", *rows, ""]) in (ROOT / "docs" / "proof.md").read_text()


def test_table_of_faults_when_read_names_every_kind() -> None:
    named = re.findall(r"^\| `(\w+)` \| ", (ROOT / "docs" / "proof.md").read_text(), re.MULTILINE)

    assert [kind for kind in named if kind in set(FaultKind)] == list(FaultKind)
    assert {group for group in named if group in set(Group)} == {group for group in Group if "-" not in group}
