"""The internal models of Nexxus, in the same database as those of the applications.

They cannot collide with an application's models: neither a schema nor an application document may
use their names.
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
"""A user; `nexxus.accounts.user_records` says what else is stored."""

ACCOUNT_CLAIM: Final = build_model("account-claim", {})
"""Which user has a user name or a provider's subject; see `nexxus.accounts.account_claims`."""
