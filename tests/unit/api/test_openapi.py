"""The API's OpenAPI document."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema_rs
import pytest

from nexxus.api.asyncapi import describe_frames
from nexxus.api.openapi import describe
from nexxus.api.routes import ENDPOINTS
from nexxus.interfaces.mounts import Authentication, HttpMount

DOCUMENT = describe(ENDPOINTS, version="1.2.3")
FRAMES = describe_frames(version="1.2.3")


async def handle(request: Any) -> None: ...


def test_what_transports_serve_is_described_with_what_all_requests_may_meet() -> None:
    own = {"responses": {"204": {"description": "nothing"}}, "parameters": []}
    mounts = [
        HttpMount("/mine", handle, methods=("GET", "POST"), summary="Do it", openapi=own),
        HttpMount("/open", handle, authentication=Authentication.NONE, limited=False),
    ]

    document = describe(ENDPOINTS, version="1", mounts=mounts)

    get = document["paths"]["/mine"]["get"]
    assert (get["summary"], get["operationId"]) == ("Do it", "getMine")
    assert set(get["responses"]) == {"200", "204", "400", "401", "404", "429", "500", "503"}
    assert set(document["paths"]["/mine"]) == {"get", "post"}
    bare = document["paths"]["/open"]["get"]
    assert "security" not in bare
    assert set(bare["responses"]) == {"200", "400", "500", "503"}


def references(node: Any) -> set[str]:
    return set(re.findall(r'"\$ref": "(#[^"]+)"', json.dumps(node)))


@pytest.mark.parametrize("document", [DOCUMENT, FRAMES], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(document: Any) -> None:
    for reference in references(document):
        node = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def shape(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path)


def test_no_two_paths_differ_only_in_parameter_names() -> None:
    shapes = [shape(path) for path in DOCUMENT["paths"]]
    assert len(shapes) == len(set(shapes))


def test_every_endpoint_is_described_once() -> None:
    operations = [
        operation["operationId"]
        for methods in DOCUMENT["paths"].values()
        for operation in methods.values()
    ]
    assert len(operations) == len(set(operations)) == len(ENDPOINTS)


def test_every_schema_is_valid() -> None:
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema_rs.meta.validate({**schema, "$defs": {}}), name


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_required_parts_of_a_request_are_described(endpoint: Any) -> None:
    (operation,) = (
        methods[endpoint.method.lower()]
        for path, methods in DOCUMENT["paths"].items()
        if shape(path) == shape(endpoint.path)
    )
    named = {parameter["name"] for parameter in operation["parameters"]}
    in_path = [each for each in operation["parameters"] if each["in"] == "path"]
    assert len(in_path) == endpoint.path.count("{")
    public = endpoint.path.startswith(("/admin", "/health", "/ready", "/metrics"))
    assert ("nxx-app-id" in named) == (
        not public and endpoint.path not in ("/", "/auth/{strategy}/callback")
    )
    assert ("requestBody" in operation) == (endpoint.body is not None)
    assert operation["summary"]


def test_an_unknown_key_violates_the_schema() -> None:
    schema = DOCUMENT["components"]["schemas"]["SubscribeRequest"]
    assert schema["additionalProperties"] is False
