import os
from pathlib import Path

import pytest

from run.errors import BadSetting
from run.settings import ROOT, Settings, describe, load_settings, unknown_variables


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in [name for name in os.environ if name.startswith("AMENDS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AMENDS_ENV_FILE", "")
    return monkeypatch


class TestDefaults:
    def test_addresses_when_nothing_is_set_are_those_of_the_design(self) -> None:
        settings = load_settings()

        assert settings.engine_address == "127.0.0.1:7233"
        assert settings.engine_ui_url == "http://127.0.0.1:8233"
        assert settings.service_url("order") == "http://127.0.0.1:8101"
        assert settings.service_url("payment") == "http://127.0.0.1:8102"
        assert settings.service_url("shipping") == "http://127.0.0.1:8103"
        assert settings.api_port == 8000

    def test_fault_injection_when_nothing_is_set_is_off(self) -> None:
        assert not load_settings().fault_injection

    def test_databases_when_nothing_is_set_are_files_in_the_data_folder(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_DATA_DIR", "/srv/amends")

        assert load_settings().database_url("order") == "sqlite:////srv/amends/order.db"


class TestReading:
    def test_paths_when_relative_count_from_the_project(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_DATA_DIR", "elsewhere")

        assert load_settings().data_dir == ROOT / "elsewhere"

    def test_empty_variable_when_read_counts_as_not_set(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_TEMPORAL_ADDRESS", "")

        assert load_settings().temporal_address is None

    def test_policy_when_set_by_parts_keeps_its_other_defaults(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_POLICY__DEADLINE_S", "7.5")

        policy = load_settings().saga_policy()

        assert policy.deadline_s == 7.5
        assert policy.action_attempts == 5

    def test_env_file_when_there_yields_to_the_environment(
        self, environment: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "env"
        file.write_text("AMENDS_API_PORT=1111\nAMENDS_ORDER_PORT=2222\n")
        environment.setenv("AMENDS_ENV_FILE", str(file))
        environment.setenv("AMENDS_API_PORT", "3333")

        settings = load_settings()

        assert (settings.api_port, settings.order_port) == (3333, 2222)

    def test_host_when_it_means_all_is_reached_at_loopback(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_HOST", "::")

        assert load_settings().url_of(80) == "http://[::1]:80"


class TestBadValues:
    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("AMENDS_API_PORT", "eighty"),
            ("AMENDS_API_PORT", "65536"),
            ("AMENDS_LOG_LEVEL", "loud"),
            ("AMENDS_FAULT_INJECTION", "perhaps"),
            ("AMENDS_POLICY", "{"),
            ("AMENDS_STOP_TIMEOUT_S", "-1"),
        ],
    )
    def test_value_when_bad_is_named_in_one_line(
        self, environment: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        environment.setenv(variable, value)

        with pytest.raises(BadSetting) as caught:
            load_settings()

        assert variable.lower() in str(caught.value).lower()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("variable", "value"),
        [
            ("AMENDS_POLICY__DEADLINE_S", "0"),
            ("AMENDS_POLICY__FAST_TIMEOUT_S", "60"),
            ("AMENDS_POLICY__RETRY_MAX_S", "0.1"),
            ("AMENDS_POLICY__DEADLIN_S", "7"),
        ],
    )
    def test_policy_when_bad_is_named_in_one_line(
        self, environment: pytest.MonkeyPatch, variable: str, value: str
    ) -> None:
        environment.setenv(variable, value)

        with pytest.raises(BadSetting, match=variable) as caught:
            load_settings().saga_policy()

        assert "\n" not in str(caught.value)

    def test_variable_when_misspelt_is_reported(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_API_PROT", "1")
        environment.setenv("AMENDS_API_PORT", "1")

        assert unknown_variables() == ["AMENDS_API_PROT"]


class TestDescription:
    def test_table_when_printed_explains_every_setting(self) -> None:
        rows = {variable: meaning for variable, _, meaning in describe(load_settings())}

        assert {f"AMENDS_{name.upper()}" for name in Settings.model_fields} - rows.keys() == {"AMENDS_POLICY"}
        assert all(rows.values())

    def test_table_when_printed_hides_passwords(self, environment: pytest.MonkeyPatch) -> None:
        environment.setenv("AMENDS_ORDER_DATABASE_URL", "postgresql://amends:s3cret@db/order")

        values = {variable: value for variable, value, _ in describe(load_settings())}

        assert values["AMENDS_ORDER_DATABASE_URL"] == "postgresql://amends:***@db/order"
