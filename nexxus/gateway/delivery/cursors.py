"""Cursors: a client's position in the deliveries of a node."""

from __future__ import annotations

from secrets import token_hex
from typing import NamedTuple


class Around(NamedTuple):
    """The cursors of a client before and after it has received all frames of a delivery."""

    before: str
    after: str


class Cursors:
    """Makes and reads cursors: ``<node>:<start of the node>-<sequence number>``.

    To a client they are opaque. They name the node so that another node knows which one to ask
    (`nexxus.gateway.devices.handover`). A node that was restarted under the same name does not
    accept its earlier cursors.
    """

    def __init__(self, node: str) -> None:
        self._prefix = f"{node}:{token_hex(4)}-"

    def write(self, seq: int) -> str:
        """Return the cursor of a client that has received everything up to `seq`."""
        return f"{self._prefix}{seq}"

    def around(self, seq: int) -> Around:
        """Return the cursors of a client before and after the delivery with that number."""
        return Around(self.write(seq - 1), self.write(seq))

    def read(self, cursor: str) -> int | None:
        """Return the sequence number of a cursor of this node since its start, or None."""
        number = cursor.removeprefix(self._prefix)
        if len(number) == len(cursor) or not (number.isascii() and number.isdigit()):
            return None
        return int(number) if len(number) < 20 else None

    @staticmethod
    def node_of(cursor: str) -> str | None:
        """Return the node of a cursor, or None if the text is not a cursor."""
        node, colon, _ = cursor.rpartition(":")
        return node if colon else None
