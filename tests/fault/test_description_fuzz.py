"""Requests made up from the server's own description: it must keep what it says about itself."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import schemathesis
from client import Admin, unique
from documents import signed_application
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from server import Endpoint

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
]


@schemathesis.serializer("application/msgpack")
def msgpack_serializer(_: Any, value: Any) -> bytes:
    """Encode a body; one that MessagePack cannot hold becomes one that nobody can read."""
    try:
        return msgspec.msgpack.encode(value)
    except (OverflowError, TypeError, ValueError):
        return b"\xc1"


@pytest.fixture(scope="module")
def app(admin: Admin) -> Any:
    return admin.create(signed_application())


@pytest.fixture(scope="module")
def token(admin: Admin, endpoint: Endpoint, app: Any) -> str:
    response = admin.http.post(
        f"{endpoint.url}/user/register",
        json={"username": unique("fuzz"), "password": "correct horse"},
        headers={"nxx-app-id": app["id"]},
    )
    session: dict[str, str] = response.json()
    return session["token"]


@pytest.fixture(scope="module")
def description(endpoint: Endpoint) -> Any:
    return schemathesis.openapi.from_url(f"{endpoint.url}/openapi.json")


# Ending the session in the middle would leave nothing to test, and a stream has no end.
schema = schemathesis.pytest.from_fixture("description").exclude(
    path_regex="^/(auth/logout|metrics|docs|sse)"
)


@pytest.mark.contract("7. Health and description", "the description is true")
@schema.parametrize()
@settings(
    max_examples=max(1, settings.default.max_examples // 50),
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
def test_the_server_answers_as_it_describes(
    case: Any, endpoint: Endpoint, app: Any, token: str
) -> None:
    headers = {"nxx-app-id": app["id"], "Authorization": f"Bearer {token}"}
    if case.path.startswith("/admin"):
        headers["Authorization"] = f"Bearer {endpoint.admin_key}"
    case.call_and_validate(base_url=endpoint.url, headers=headers, checks=CHECKS, timeout=30)
