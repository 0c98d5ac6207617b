"""The names of all keys.

What must change together has one *hash tag*, the part in braces: a Redis Cluster keeps keys of
one tag on one node, where a script may touch them all. Every tag that belongs to an application
begins with its id and a colon, by which `drop` finds them; the others begin with ``@``, which no
application's id does.
"""

from __future__ import annotations

import re


class Keys:
    """Makes keys. `prefix` tells installations that share a Redis apart."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def nodes(self, part: str) -> str:
        """What is known of all nodes together."""
        return f"{self._prefix}:{{@nodes}}:{part}"

    def node(self, node_id: str, part: str) -> str:
        """What is known of one node: where to look when it dies."""
        return f"{self._prefix}:{{@node:{node_id}}}:{part}"

    def mark(self, tag: str, node_id: str) -> str:
        """What a node leaves on a part of a cluster, to see that the part forgot nothing."""
        return f"{self._prefix}:{{@{tag}}}:{node_id}"

    def device(self, app_id: str, device_id: str, part: str) -> str:
        """What is known of one device."""
        return f"{self._prefix}:{{{app_id}:device:{device_id}}}:{part}"

    def persistent(self, app_id: str, device_id: str) -> str:
        """The models of which a device may have persistent subscriptions."""
        return self.device(app_id, device_id, "persistent")

    def pushes(self, part: str) -> str:
        """The schedule of pushes."""
        return f"{self._prefix}:{{@pushes}}:{part}"

    def user(self, app_id: str, user_id: str, part: str) -> str:
        """What a user has: devices, sessions."""
        return f"{self._prefix}:{{{app_id}:user:{user_id}}}:{part}"

    def session(self, app_id: str, session_id: str) -> str:
        """One session."""
        return f"{self._prefix}:{{{app_id}:session:{session_id}}}"

    def claim(self, app_id: str, scope: str, key: str) -> str:
        """One claim; the scope's length keeps ``a``, ``b:c`` apart from ``a:b``, ``c``."""
        return f"{self._prefix}:{{{app_id}:claim:{len(scope)}:{scope}:{key}}}"

    def counter(self, app_id: str, scope: str, key: str) -> str:
        """One counter."""
        return f"{self._prefix}:{{{app_id}:counter:{len(scope)}:{scope}:{key}}}"

    def fate(self, app_id: str, operation_id: str) -> str:
        """The fate of one operation."""
        return f"{self._prefix}:{{{app_id}:fate:{operation_id}}}"

    def model(self, app_id: str, model: str) -> str:
        """What the keys of a model's subscriptions and routes begin with.

        Scripts append to it: ``:version``, ``:floor``, ``:routes``, ``:changed``, ``:gone``,
        ``:nodes:<route>``, ``:device:<device>``, ``:served:<node>``, ``:away:<p>:<route>`` and
        ``:<channel id>:partition:<p>``.
        """
        return f"{self._prefix}:{{{app_id}:model:{model}}}"

    def pattern_of(self, app_id: str) -> str:
        """What the keys of an application match, as ``SCAN`` wants it."""
        return f"{self._prefix}:{{{app_id}:*"

    def model_of(self, key: str) -> str | None:
        """What `model` gave for the model that a key is of; None for other keys."""
        match = re.match(rf"{self._prefix}:\{{[^:}}]*:model:[^}}]*\}}", key)
        return None if match is None else match.group()
