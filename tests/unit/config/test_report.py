"""The effective settings are shown with their origins, and never with secrets."""

from __future__ import annotations

import tomllib

from nexxus.config import Config
from nexxus.config.report import describe, to_toml, toml_literal

APPLICATION = {
    "id": "a",
    "signingSecret": "hunter2" * 5,
    "auth": {"strategies": {"google": {"clientID": "shown", "clientSecret": "hunter2"}}},
}


def test_every_setting_has_its_value_and_its_origin():
    described = describe(Config.load(None, {"NEXXUS_API__PORT": "9000"}))
    assert described["api.port"] == {"value": 9000, "origin": "environment NEXXUS_API__PORT"}
    assert described["server.data_dir"] == {"value": "nexxus-data", "origin": "default"}
    assert described["database.adapter"]["value"] == "sqlite"


def test_secrets_are_masked_and_unset_ones_stay_empty():
    config = Config.from_mapping({"admin": {"key": "hunter2"}, "applications": [APPLICATION]})
    shown = to_toml(config)
    assert "hunter2" not in shown
    assert "shown" in shown
    assert describe(config)["admin.key"]["value"] == "***"
    assert describe(Config.from_mapping({}))["admin.key"]["value"] == ""


def test_the_report_is_valid_toml():
    config = Config.from_mapping({"api": {"cors_origins": ['a"b', "c"]}})
    document = tomllib.loads(to_toml(config))
    assert document["api"]["cors_origins"] == ['a"b', "c"]
    assert document["gateway"]["resume_window"] == 60.0


def test_written_values_are_read_back_by_toml():
    for value in (True, 1, 1.5, "", 'a "b"\n\x7f', [1, [2]], {"a b": {"c": ["é"]}, "d-e": "f"}):
        assert tomllib.loads(f"v = {toml_literal(value)}")["v"] == value
