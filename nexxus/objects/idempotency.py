"""Idempotency: repeating a write with the same key does not write again."""

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
    """What is stored for a key: a digest of the request, and the ids of its write."""

    request: str
    operation_id: str
    object_id: str


class IdempotencyKeys:
    """Remembers the request of each key for a day, separately for each owner."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def claim(
        self, identity: Identity, key: str | None, object_id: str, request: tuple[Any, ...]
    ) -> tuple[Claim, Fate | None]:
        """Return the ids of a write: new ones, or those stored for its key.

        Stored ids come with the operation's fate. If the operation is not known to be judged, it is
        submitted again as a retry, and the writer applies it once. Raises `InvalidParameters` if
        the key was used for another request.
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
        """Forget the key of a write that was not accepted, so that a repetition counts as new."""
        if key is not None:
            await self._registry.claims.release(identity.app_id, _SCOPE, _owned(identity, key))


def _owned(identity: Identity, key: str) -> str:
    return f"{identity.owner}|{key}"


def _digest(request: tuple[Any, ...]) -> str:
    return hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
