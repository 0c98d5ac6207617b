"""Errors in an application document."""

from __future__ import annotations

import pytest

from nexxus.domain.misfits import check_keys, misfit
from nexxus.errors import InvalidParameters

KNOWN = frozenset({"required", "nullable", "filterable"})


def test_the_message_begins_with_the_path_which_is_also_the_field() -> None:
    error = misfit("schema.task.fields.title", "expected an object")

    assert error.message == "schema.task.fields.title: expected an object"
    assert error.details == {"field": "schema.task.fields.title"}


@pytest.mark.contract("1. Tenancy and headers", "for a misspelt key the nearest one is named")
@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("requird", "required"),
        ("Nullable", "nullable"),
        ("filterabel", "filterable"),
        ("filter", "filterable"),
    ],
)
def test_for_a_misspelt_key_the_nearest_one_is_suggested(misspelt: str, meant: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        check_keys({"required": True, misspelt: True}, KNOWN, "schema.task.title")

    assert refusal.value.details == {"field": f"schema.task.title.{misspelt}"}
    assert refusal.value.message.startswith(f"schema.task.title.{misspelt}: ")
    assert f"did you mean {meant!r}?" in refusal.value.message


def test_without_a_near_key_all_keys_are_listed() -> None:
    with pytest.raises(InvalidParameters) as refusal:
        check_keys({"title": 1}, KNOWN, "")

    assert refusal.value.message == (
        "title: unknown key; the known keys are filterable, nullable, required"
    )


def test_all_or_none_of_the_known_keys_may_be_present() -> None:
    check_keys(dict.fromkeys(KNOWN), KNOWN, "here")
    check_keys({}, KNOWN, "here")


def test_a_key_of_a_megabyte_makes_a_short_message() -> None:
    with pytest.raises(InvalidParameters) as refusal:
        check_keys({"required" * 131_072: 1}, KNOWN, "here")

    assert len(refusal.value.message) < 200
