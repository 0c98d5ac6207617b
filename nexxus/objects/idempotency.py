"""Idempotency: a write that a client repeats under one key is the write that it was before."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from nexxus.domain.identity import Identity
from nexxus.domain.objects import new_id
from nexxus.domain.operations import Fate
from nexxus.errors import InvalidParameters
from nexxus.interfaces.registry import Registry

_SCOPE: Final = "idempotency"
_DAY: Final = 86_400


class Claim(msgspec.Struct, frozen=True):
    """What a key stands for: a digest of the request, and the ids that it was given."""

    request: str
    operation_id: str
    object_id: str


class IdempotencyKeys:
    """Remembers for a day what was asked for under which key, for each owner apart."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def claim(
        self, identity: Identity, key: str | None, object_id: str, request: tuple[Any, ...]
    ) -> tuple[Claim, Fate | None]:
        """The ids of a write: new ones, or those that its key stands for.

        With the latter comes the operation's fate. One that is not known to be judged is
        submitted again, as a retry, and the writer applies it once. A key that stands for another
        request is an `InvalidParameters`.
        """
        if key is None:
            return Claim("", new_id(), object_id), None
        fresh = Claim(_digest(request), new_id(), object_id)
        app_id = identity.app_id
        stood = await self._registry.claims.claim(
            app_id, _SCOPE, _owned(identity, key), msgspec.json.encode(fresh), _DAY
        )
        if stood is None:
            return fresh, None
        claim = msgspec.json.decode(stood, type=Claim)
        if claim.request != fresh.request:
            raise InvalidParameters(
                "Idempotency-Key: the key was used for another request; choose a new one",
                {"field": "Idempotency-Key"},
            )
        fate = await self._registry.fates.get(app_id, claim.operation_id)
        return claim, fate or Fate(app_id, claim.operation_id, "queued", identity.owner)

    async def release(self, identity: Identity, key: str | None) -> None:
        """Forget a key whose write came to nothing: a repetition is the first one again."""
        if key is not None:
            await self._registry.claims.release(identity.app_id, _SCOPE, _owned(identity, key))


def _owned(identity: Identity, key: str) -> str:
    return f"{identity.owner}|{key}"


def _digest(request: tuple[Any, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
