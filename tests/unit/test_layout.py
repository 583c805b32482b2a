"""Our generic top-level names are ours, and the lock files name no index. See docs/decisions/0001."""

import importlib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("contracts", "messaging", "workflows", "activities", "api", "services", "proof", "run", "tests")


@pytest.mark.parametrize("name", PACKAGES)
def test_package_when_imported_comes_from_the_repository(name: str) -> None:
    package = importlib.import_module(name)

    assert package.__file__ is not None
    assert Path(package.__file__).parent == ROOT / name


def test_package_names_when_dependencies_are_installed_belong_to_none_of_them() -> None:
    owners = packages_distributions()

    assert {name: owners[name] for name in PACKAGES if name in owners} == {}


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-dev.lock"])
def test_lock_file_when_read_names_no_index(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "index" not in {line.split()[0].lstrip("-").partition("-")[0] for line in text.splitlines() if line.strip()}


@pytest.mark.parametrize("name", PACKAGES)
def test_init_files_when_read_are_empty(name: str) -> None:
    # They are run again inside the workflow sandbox.
    assert [path for path in (ROOT / name).rglob("__init__.py") if path.read_text()] == []
