"""The committed references match the settings."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from nexxus.config import Config
from nexxus.config.reference import example, markdown, sections

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("file", "form"), [("nexxus.toml.example", example), ("docs/configuration.md", markdown)]
)
def test_the_committed_file_is_up_to_date(file: str, form):
    assert (ROOT / file).read_text(encoding="utf-8") == form(), "run: make reference"


def test_every_setting_has_a_meaning():
    missing = [
        f"{section.name}.{entry.key}"
        for section in sections()
        for entry in section.entries
        if not entry.meaning
    ]
    assert missing == []


def test_the_example_with_everything_uncommented_is_the_default():
    settings = re.sub(r"(?m)^# (\w+ = .*)$", r"\1", example().partition("# Applications may")[0])
    document = tomllib.loads(settings)
    assert len(document) == 15
    given, default = Config.from_mapping(document), Config.from_mapping({})
    for section in document:
        assert getattr(given, section) == getattr(default, section)
    assert {given.origins[key] for key in default.origins} == {"mapping"}


def test_the_unchanged_example_configures_nothing(tmp_path: Path):
    file = tmp_path / "nexxus.toml"
    file.write_text(example(), encoding="utf-8")
    assert set(Config.load(file, {}).origins.values()) == {"default"}
