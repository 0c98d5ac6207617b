"""Applications: which documents are accepted, completed, shown and merged."""

from __future__ import annotations

import copy
import uuid
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexxus.domain.access import Action, Caller
from nexxus.domain.application import merge_application, parse_application, without_secrets
from nexxus.domain.filters import EVERYTHING, NOTHING
from nexxus.errors import InvalidAuthMethod, InvalidParameters, ModelNotFound, NotFound

contract = partial(pytest.mark.contract, "2. Applications and schemas")

GOOGLE = {"clientID": "public", "clientSecret": "hidden"}
SECRET = "a-signing-secret-of-a-good-length-0123"
STORED = {
    "id": "shop",
    "name": "Shop",
    "signingSecret": SECRET,
    "auth": {
        "strategies": {"local": {}, "google": GOOGLE},
        "userTypes": {"staff": {"private": True, "roles": ["staff"]}},
        "userDetailSchema": {"default": {"firstName": {"type": "string"}}},
        "acl": True,
    },
    "roles": {"staff": {"statements": [{"effect": "Deny", "action": "*", "resource": "task"}]}},
    "schema": {"task": {"title": {"type": "string"}}, "memo": {}},
}


def test_a_missing_id_and_signing_secret_are_generated() -> None:
    one, other = parse_application({}), parse_application({})

    assert uuid.UUID(one.id).version == 7
    assert one.document == {"id": one.id, "signingSecret": one.signing_secret}
    assert len(one.signing_secret) >= 43  # 256 bits
    assert one.signing_secret != other.signing_secret


@contract("a signing secret has at least 32 bytes")
def test_a_signing_secret_that_could_be_guessed_is_refused() -> None:
    assert parse_application({"signingSecret": "é" * 16}).signing_secret == "é" * 16

    with pytest.raises(InvalidParameters, match=r"^signingSecret: expected at least 32 bytes"):
        parse_application({"signingSecret": "a" * 31})


def test_the_given_document_is_not_modified() -> None:
    document = {"auth": {"strategies": {"google": GOOGLE}}}
    before = copy.deepcopy(document)

    parse_application(document).public_document()

    assert document == before


def test_given_keys_are_kept_and_the_others_have_defaults() -> None:
    application = parse_application(STORED)

    assert application.document == STORED
    assert (application.id, application.name) == ("shop", "Shop")
    assert (application.default_limit, application.max_limit) == (10, 100)
    assert application.session.jwt_expires_in == 3600
    assert application.session.refresh_token_expires_in == 30 * 86_400
    assert application.users().allow_multiple_login


@pytest.mark.parametrize(
    ("given", "default", "largest"),
    [
        ({}, 10, 100),
        ({"maxLimit": 5}, 5, 5),
        ({"defaultLimit": 150}, 150, 150),
        ({"defaultLimit": 2, "maxLimit": 3}, 2, 3),
    ],
)
def test_a_limit_that_is_not_given_is_adjusted_to_the_other(
    given: dict[str, Any], default: int, largest: int
) -> None:
    application = parse_application(given)

    assert (application.default_limit, application.max_limit) == (default, largest)


@contract("an id is generated or chosen")
@pytest.mark.parametrize("id", ["a", "0", "a_-9", "a" * 64])
def test_an_id_may_be_chosen(id: str) -> None:
    assert parse_application({"id": id}).id == id


@contract("an id is generated or chosen")
@pytest.mark.parametrize("id", ["", "A", "-a", "_a", "a b", "a:b", "é", "a\n", "a" * 65, None, 1])
def test_any_other_id_is_refused(id: Any) -> None:
    with pytest.raises(InvalidParameters, match=r"^id: "):
        parse_application({"id": id})


def test_the_compiled_parts_refer_to_each_other() -> None:
    application = parse_application(STORED)

    assert application.model("task").paths.keys() == {"title"}
    assert application.details["default"].keys() == {"firstName"}
    assert application.strategy("google") == GOOGLE
    decide = application.access.decide
    assert decide(Caller("shop", "a", "staff"), Action.GET, "task") == NOTHING
    assert decide(Caller("shop", "a", "default"), Action.GET, "task") == EVERYTHING


def test_each_missing_part_has_its_own_error() -> None:
    application = parse_application(STORED)

    with pytest.raises(ModelNotFound, match="'tsak'"):
        application.model("tsak")
    with pytest.raises(NotFound, match="'gogle'"):
        application.strategy("gogle")


def test_without_auth_there_are_no_users() -> None:
    application = parse_application({"auth": None})

    with pytest.raises(InvalidAuthMethod):
        application.users()
    with pytest.raises(NotFound):
        application.strategy("local")
    assert application.access.decide(Caller("shop"), Action.DELETE, "task") == EVERYTHING


@contract("user types")
def test_with_auth_there_is_always_the_default_user_type() -> None:
    assert parse_application({"auth": {}}).users().user_types.keys() == {"default"}
    assert parse_application(STORED).users().user_types.keys() == {"default", "staff"}


def users(**auth: Any) -> dict[str, Any]:
    return {"auth": {"userTypes": {"staff": {}}, **auth}}


def details(name: str, user_type: str = "default") -> dict[str, Any]:
    return users(userDetailSchema={user_type: {name: {"type": "string"}}})


@contract("an application's document is validated")
@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"shcema": {}}, "shcema"),
        ({"name": 1}, "name"),
        ({"defaultLimit": "10"}, "defaultLimit"),
        ({"defaultLimit": 0}, "defaultLimit"),
        ({"defaultLimit": 101, "maxLimit": 100}, "defaultLimit"),
        ({"defaultLimit": None}, "defaultLimit"),
        ({"maxLimit": 0}, "maxLimit"),
        ({"maxLimit": 10_001}, "maxLimit"),
        ({"maxLimit": -1}, "maxLimit"),
        ({"session": {"jwtExpiresIn": 0}}, "session"),
        ({"session": {"jwtExpiresIn": "1h"}}, "session.jwtExpiresIn"),
        ({"session": {"refreshTokenExpiresIn": -1}}, "session"),
        ({"session": {"expiresIn": 60}}, "session.expiresIn"),
        ({"signingSecret": None}, "signingSecret"),
        ({"auth": []}, "auth"),
        ({"auth": {"acll": True}}, "auth.acll"),
        ({"auth": {"acl": 1}}, "auth.acl"),
        (users(userTypes={"staff": {"roles": ["chief"]}}), "auth.userTypes.staff.roles"),
        (users(userTypes={"staff": {"rolse": ["chief"]}}), "auth.userTypes.staff.rolse"),
        (users(acll=True), "auth.acll"),
        ({"session": {"jwtExpiresin": 1}}, "session.jwtExpiresin"),
        (details("a", "chief"), "auth.userDetailSchema.chief"),
        (users(userDetailSchema={"staff": []}), "auth.userDetailSchema.staff"),
        (details("username"), "auth.userDetailSchema.default.username"),
        (details("password"), "auth.userDetailSchema.default.password"),
        (details("userType"), "auth.userDetailSchema.default.userType"),
        (details("device", "staff"), "auth.userDetailSchema.staff.device"),
        (details("$sub"), "auth.userDetailSchema.default.$sub"),
        ({"roles": []}, "roles"),
        ({"roles": {"a": {}}}, "roles.a"),
        ({"schema": []}, "schema"),
        ({"schema": {"user": {}}}, "schema.user"),
        ({"schema": {"task": {"a": {"type": "text"}}}}, "schema.task.a.type"),
    ],
)
def test_an_invalid_document_is_refused_with_the_path(document: Any, place: str) -> None:
    with pytest.raises(InvalidParameters) as refusal:
        parse_application(document)

    assert refusal.value.message.startswith(f"{place}: ")
    assert refusal.value.details is not None
    assert refusal.value.details["field"] == place


@pytest.mark.parametrize("document", [None, [], "shop"])
def test_a_document_that_is_not_an_object_is_refused(document: Any) -> None:
    with pytest.raises(InvalidParameters, match="an object"):
        parse_application(document)


@contract("secrets are never shown")
def test_secrets_are_not_shown_but_are_kept() -> None:
    application = parse_application(STORED)

    shown = application.public_document()

    assert "signingSecret" not in shown
    assert shown["auth"]["strategies"] == {"local": {}, "google": {"clientID": "public"}}
    assert shown["auth"]["acl"] is True
    assert application.document == STORED


@contract("secrets are never shown")
def test_a_setting_of_a_strategy_is_secret_by_its_name() -> None:
    directory = {"url": "ldaps://x", "bindPassword": "hidden", "api_key": "hidden", "realm": "r"}
    stored = {**STORED, "auth": {"strategies": {"directory": directory}}}

    shown = without_secrets(stored)

    assert shown["auth"]["strategies"] == {"directory": {"url": "ldaps://x", "realm": "r"}}
    assert merge_application(stored, shown)["auth"] == stored["auth"]


def test_a_change_replaces_the_given_keys_and_keeps_the_others() -> None:
    changes = {"schema": {"memo": {}}, "maxLimit": 50}

    assert merge_application(STORED, changes) == {**STORED, **changes}


def test_a_given_secret_replaces_the_stored_one() -> None:
    auth = {"strategies": {"google": {"clientID": "p", "clientSecret": "new"}}}

    merged = merge_application(STORED, {"signingSecret": "new", "auth": auth})

    assert merged["signingSecret"] == "new"
    assert merged["auth"] == auth


def test_a_secret_is_kept_only_for_its_own_strategy() -> None:
    auth = {"strategies": {"google": {"clientID": "p"}, "other": {}}}

    kept = merge_application(STORED, {"auth": auth})["auth"]["strategies"]

    assert kept == {"google": {"clientID": "p", "clientSecret": "hidden"}, "other": {}}


def test_null_removes_auth() -> None:
    assert "auth" not in merge_application(STORED, {"auth": None})


def test_an_id_may_be_repeated_but_not_changed() -> None:
    assert merge_application(STORED, {"id": "shop"}) == STORED

    with pytest.raises(InvalidParameters, match=r"^id: ") as refusal:
        merge_application(STORED, {"id": "store"})
    assert refusal.value.details == {"field": "id"}


@pytest.mark.parametrize("auth", [[], {"strategies": []}, {"strategies": {"google": "x"}}])
def test_an_invalid_change_is_left_to_the_parser(auth: Any) -> None:
    merged = merge_application(STORED, {"auth": auth})

    with pytest.raises(InvalidParameters, match=r"^auth"):
        parse_application(merged)


settings = st.fixed_dictionaries(
    {}, optional={"clientID": st.text(max_size=3), "clientSecret": st.text(max_size=3)}
)
auths = st.fixed_dictionaries(
    {},
    optional={
        "strategies": st.dictionaries(st.sampled_from(["local", "google", "x"]), settings),
        "acl": st.booleans(),
    },
)
stored_documents = st.fixed_dictionaries(
    {"id": st.just("shop"), "signingSecret": st.text(min_size=1)},
    optional={"name": st.text(), "auth": auths},
)


@given(stored_documents)
def test_storing_the_shown_document_changes_nothing(stored: dict[str, Any]) -> None:
    assert merge_application(stored, without_secrets(stored)) == stored
