"""docker-compose.yml, Dockerfile and .env.example, as far as they can be judged without a container engine."""

import re
import subprocess
import sys
from typing import Any

import pytest

from run.settings import PREFIX, ROOT, Settings
from tests.support.compose_file import COMPOSE_FILE, DOCKERFILE, databases, entrypoint, our_services, read_compose

GIVEN = {"POSTGRES_PASSWORD": "pgsecret", "RABBITMQ_PASSWORD": "rabbitsecret"}
ONE_SHOTS = {"temporal-schema", "migrate", "prepare"}


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return read_compose(GIVEN)


def test_file_when_checked_is_as_the_compose_specification_says() -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE_FILE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_passwords_when_not_given_are_asked_for_and_none_stands_in_the_file() -> None:
    text = COMPOSE_FILE.read_text()

    for name in GIVEN:
        assert f"${{{name}:?" in text
        with pytest.raises(AssertionError, match=f"{name} is not set"):
            read_compose({**GIVEN, name: ""})
    for password in re.findall(r"(?:PASSWORD|PASS|PWD): *(\S+)", text) + re.findall(r"//amends:([^@]+)@", text):
        assert password.startswith(("${", '"${')), password


def test_variables_of_the_file_are_all_in_the_example() -> None:
    asked_for = set(re.findall(r"(?<!\$)\$\{(\w+)", COMPOSE_FILE.read_text()))

    explained = set(re.findall(r"^#?(\w+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))

    assert asked_for == explained


def test_images_are_pinned_to_a_version(document: dict[str, Any]) -> None:
    theirs = {service["image"] for service in document["services"].values()} - {"amends:local"}
    ours = set(re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE))

    assert {image for image in theirs | ours if not re.search(r":\d+\.\d+", image)} == set()


def test_services_all_have_a_health_check_or_an_end_and_wait_for_what_is_checked(document: dict[str, Any]) -> None:
    services = document["services"]
    unchecked = {name for name, service in services.items() if "healthcheck" not in service}

    assert unchecked == ONE_SHOTS | {"temporal-ui"}
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            expected = "service_completed_successfully" if other in ONE_SHOTS else "service_healthy"
            assert how == {"condition": expected}


def test_settings_of_our_services_exist_and_name_each_database(document: dict[str, Any]) -> None:
    for service in our_services(document).values():
        names = {name.removeprefix(PREFIX).lower() for name in service["environment"]}
        assert names <= Settings.model_fields.keys()
        urls = {name for name in Settings.model_fields if name.endswith("_database_url")}
        assert urls <= names
        assert {service["environment"][PREFIX + url.upper()].rpartition("/")[2] for url in urls} <= databases(document)


def test_addresses_of_our_services_are_known_to_operators_in_any_container(document: dict[str, Any]) -> None:
    for name, service in our_services(document).items():
        for other in our_services(document):
            if f"{other}_port" in Settings.model_fields:
                port = Settings.model_fields[f"{other}_port"].default
                assert service["environment"][f"{PREFIX}{other.upper()}_URL"] == f"http://{other}:{port}", name


def test_ports_are_open_to_this_machine_alone_and_checked_where_the_process_listens(document: dict[str, Any]) -> None:
    for name, service in document["services"].items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
        if name in our_services(document) and f"{name}_port" in Settings.model_fields:
            default = Settings.model_fields[f"{name}_port"].default
            assert service["healthcheck"]["test"] == ["CMD", "python", "run/healthy.py", str(default)]


def test_image_holds_all_that_runs_and_runs_it_as_nobody_in_particular() -> None:
    taken = set(re.findall(r"^!(\S+)", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}

    assert taken == packages | {"requirements.lock", "examples"}
    assert re.search(r"^USER \d+$", DOCKERFILE.read_text(), re.MULTILINE)
    assert entrypoint() == ["python", "-m", "run"]
