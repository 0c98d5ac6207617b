"""Cursors: where a client was in a node's deliveries."""

from __future__ import annotations

from secrets import token_hex
from typing import NamedTuple


class Around(NamedTuple):
    """The cursors of a client that has not seen all of a delivery, and of one that has."""

    before: str
    after: str


class Cursors:
    """Makes and reads cursors: ``<node>:<start of the node>-<sequence number>``.

    To a client they are opaque. The node is named so that another node knows which one to ask
    (`nexxus.gateway.devices.handover`). A node that was started again under the same name does not
    know its former cursors.
    """

    def __init__(self, node: str) -> None:
        self._prefix = f"{node}:{token_hex(4)}-"

    def write(self, seq: int) -> str:
        """The cursor of a client that has seen everything up to `seq`."""
        return f"{self._prefix}{seq}"

    def around(self, seq: int) -> Around:
        """The cursors of a client before it has seen what has that number, and after it."""
        return Around(self.write(seq - 1), self.write(seq))

    def read(self, cursor: str) -> int | None:
        """The sequence number in a cursor of this node and start, None for any other."""
        number = cursor.removeprefix(self._prefix)
        if len(number) == len(cursor) or not (number.isascii() and number.isdigit()):
            return None
        return int(number) if len(number) < 20 else None

    @staticmethod
    def node_of(cursor: str) -> str | None:
        """The node that a cursor is of, if it is one at all."""
        node, colon, _ = cursor.rpartition(":")
        return node if colon else None
