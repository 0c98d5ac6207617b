"""Secrets are masked in text for people."""

from __future__ import annotations

import pytest

from nexxus.observability.redaction import is_secret_name, redact, redact_text


@pytest.mark.parametrize(
    "name",
    ["key", "secret", "password", "token", "signingSecret", "clientSecret", "api_key", "API-Key",
     "refreshToken", "Authorization", "aws_secret_access_key", "db_password"],
)  # fmt: skip
def test_a_secret_is_recognised_by_its_name(name: str):
    assert is_secret_name(name)


@pytest.mark.parametrize("name", ["tls_key_file", "keyboard", "tokens_per_second", "id", "path"])
def test_other_names_are_not_secrets(name: str):
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://ann:pw@host/db", "postgres://ann:***@host/db"),
        ("amqp://:pw@host", "amqp://:***@host"),
        ("https://tok3n@host/x", "https://***@host/x"),
        ("at redis://a:p@ss@h:1 and http://h/@x", "at redis://a:***@h:1 and http://h/@x"),
        ("http://h/cb?code=1&access_token=abc#x", "http://h/cb?code=1&access_token=***#x"),
        ("sent Authorization: Bearer abc.def", "sent Authorization: Bearer ***"),
        ("got eyJhbGciOi.eyJzdWI.c2ln here", "got *** here"),
        ("http://host:80/path nothing", "http://host:80/path nothing"),
    ],
)
def test_secrets_within_a_text_are_masked(text: str, masked: str):
    assert redact_text(text) == masked


def test_secrets_deep_in_a_value_are_masked_and_the_value_is_not_changed():
    value = {"a": [{"password": "x", "url": "http://u:p@h"}], "token": "", "key": None}
    assert redact(value) == {
        "a": [{"password": "***", "url": "http://u:***@h"}],
        "token": "",
        "key": None,
    }
    assert value["a"] == [{"password": "x", "url": "http://u:p@h"}]
