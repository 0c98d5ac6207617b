"""The models that Nexxus keeps for itself, in the same database as everybody's.

No client's model can meet them: their names and their application are none that a schema or
an application document may choose.
"""

from __future__ import annotations

from typing import Final

from nexxus.domain.schema import Field, Kind, build_model

SYSTEM: Final = "_nexxus"
"""The application that holds the applications."""

APPLICATION: Final = build_model(
    "application", {"document": Field(Kind.OBJECT, required=True, properties={})}
)

USER: Final = build_model(
    "user",
    {
        "username": Field(Kind.STRING, required=True, filterable=True),
        "userType": Field(Kind.STRING, required=True, filterable=True),
    },
)
"""A user. Besides: ``details``, ``authProviders``, ``passwordHash?``, ``disabled``."""

ACCOUNT_NAME: Final = build_model("account-name", {})
"""Who has a user name: its id is the name's digest, its ``user`` the user's id.

Storing it is the claim: the database's compare-and-set lets one registration win.
"""
