"""docker-compose.yml and the Dockerfile as data."""

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from run.settings import ROOT

COMPOSE_FILE = ROOT / "docker-compose.yml"
DOCKERFILE = ROOT / "Dockerfile"
OUR_IMAGE = "amends:local"
_VARIABLE = re.compile(r"\$\$|\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def read_compose(given: Mapping[str, str]) -> dict[str, Any]:
    """The file, its variables filled in as compose does it.

    Raises:
        AssertionError: a variable without a default is not given.
    """

    def value(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if given.get(found["name"]):
            return given[found["name"]]
        assert found["kind"] == "-", f"{found['name']} is not set: {found['rest']}"
        return str(found["rest"])

    document: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(value, COMPOSE_FILE.read_text()))
    return document


def our_services(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those that run our image."""
    return {name: service for name, service in document["services"].items() if service["image"] == OUR_IMAGE}


def databases(document: Mapping[str, Any]) -> set[str]:
    """Which databases the file has made in an empty PostgreSQL."""
    return set(re.findall(r'CREATE DATABASE "?(\w+)"?;', document["configs"]["databases"]["content"]))


def entrypoint() -> list[str]:
    """What the image runs before each command."""
    found = re.search(r"^ENTRYPOINT (.+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert found is not None
    words: list[str] = json.loads(found[1])
    return words
