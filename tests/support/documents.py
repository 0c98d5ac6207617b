"""Ready application documents; every call makes one with an id of its own."""

from __future__ import annotations

from typing import Any

from client import unique

Document = dict[str, Any]

TASK: Document = {
    "fields": {
        "title": {"type": "string", "required": True, "filterable": True},
        "status": {"type": "string", "filterable": True, "acl": True},
        "points": {"type": "int", "filterable": True},
        "weight": {"type": "float", "filterable": True},
        "done": {"type": "boolean", "filterable": True},
        "dueDate": {"type": "date", "filterable": True, "nullable": True},
        "tags": {"type": "array", "arrayType": "string", "filterable": True},
        "scores": {"type": "array", "arrayType": "int", "filterable": True},
        "location": {
            "type": "object",
            "properties": {
                "lat": {"type": "float", "filterable": True},
                "lon": {"type": "float"},
                "city": {"type": "string", "filterable": True},
                "place": {
                    "type": "object",
                    "properties": {
                        "floor": {"type": "int", "filterable": True},
                        "room": {"type": "string"},
                    },
                },
            },
        },
        "notes": {"type": "string", "nullable": True},
        "steps": {
            "type": "array",
            "arrayType": "object",
            "properties": {
                "text": {"type": "string", "required": True},
                "minutes": {"type": "int"},
                "at": {"type": "date"},
            },
        },
    },
}
"""A model with a field of every kind, almost all of them filterable."""

CURSOR: Document = {"fields": {"x": {"type": "int"}, "who": {"type": "string", "filterable": True}},
                    "transient": True}  # fmt: skip
"""A transient model: what a typing indicator is."""

LOG: Document = {
    "fields": {"line": {"type": "string"}, "level": {"type": "int"}},
    "subscribable": False,
}
"""A model that is stored and searched, but not followed."""

NOTE: Document = {"text": {"type": "string"}, "stars": {"type": "int", "filterable": True}}
"""A model in the short form."""

SCHEMA: Document = {"task": TASK, "cursor": CURSOR, "log": LOG, "note": NOTE}


def open_application(**more: Any) -> Document:
    """An application without users, with pages large enough to hold everything."""
    return {
        "id": unique("open"),
        "name": "Open",
        "schema": SCHEMA,
        "defaultLimit": 10,
        "maxLimit": 5000,
        **more,
    }


def signed_application(**more: Any) -> Document:
    """An application whose users sign in with a password, with a private user type."""
    auth = {
        "strategies": {"local": {}},
        "userTypes": {"default": {}, "staff": {"private": True}, "guest": {}},
        "userDetailSchema": {
            "default": {
                "firstName": {"type": "string"},
                "age": {"type": "int"},
                "address": {"type": "object", "properties": {"city": {"type": "string"}}},
            }
        },
        **more.pop("auth", {}),
    }
    return open_application(**{"id": unique("signed"), "name": "Signed", "auth": auth, **more})


def guarded_application(**more: Any) -> Document:
    """An application under access control.

    ``default`` may read what is published and do everything with its own; ``staff`` may do
    everything but delete what is locked; ``stranger`` has no role and may do nothing.
    """
    return signed_application(
        **{
            "id": unique("guarded"),
            "name": "Guarded",
            "auth": {
                "acl": True,
                "userTypes": {
                    "default": {"roles": ["member"]},
                    "staff": {"private": True, "roles": ["staff"]},
                    "stranger": {"private": True},
                },
            },
            "roles": GUARDED_ROLES,
            **more,
        }
    )


ALL: Document = {"statements": [{"effect": "Allow", "action": ["*"], "resource": ["*"]}]}
"""The statements of a role that may do everything."""

PUBLISHED: Document = {"StringEquals": {"status": ["published"]}}
OWN: Document = {"StringEquals": {"userId": ["$nxx:userId"]}}

GUARDED_ROLES: Document = {
    "member": {
        "statements": [
            {
                "effect": "Allow",
                "action": ["read"],
                "resource": ["task"],
                "condition": PUBLISHED,
            },
            {"effect": "Allow", "action": ["*"], "resource": ["task"], "condition": OWN},
        ]
    },
    "staff": {
        "statements": [
            {"effect": "Allow", "action": ["*"], "resource": ["*"]},
            {"effect": "Deny", "action": ["delete"], "resource": ["note"]},
        ]
    },
}
