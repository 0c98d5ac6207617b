"""The delivery log: the recent deliveries of a node, for devices that resume."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import Final

import msgspec

from nexxus.cluster.messages import Delivery
from nexxus.gateway.delivery.cursors import Cursors

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Delivery).decode

_ENTRY_BYTES: Final = 400
"""The approximate size of an entry in bytes, without its encoded delivery."""


class LoggedDelivery:
    """A remembered delivery: its routing keys, and the encoded delivery."""

    __slots__ = ("at", "keys", "packed", "seq")

    def __init__(self, seq: int, at: float, keys: list[str], packed: bytes) -> None:
        self.seq = seq
        self.at = at
        self.keys = keys
        self.packed = packed

    def delivery(self) -> Delivery:
        """Return the decoded delivery."""
        return _decode(self.packed)

    @property
    def size(self) -> int:
        """The approximate size in bytes."""
        return len(self.packed) + _ENTRY_BYTES


class DeliveryLog:
    """The node's recent deliveries in order, found by routing key.

    The log remembers only keys that are *held* by a live or a kept subscription. For each held key
    it knows which deliveries it has forgotten, so that a quiet channel can be resumed from an old
    cursor even if other channels were busy. Entries are kept for the longest window that `keep` was
    called with (0 keeps none), within `max_deliveries` and `max_bytes`.
    """

    def __init__(self, node: str, *, max_deliveries: int, max_bytes: int) -> None:
        self.cursors = Cursors(node)
        self._window = 0.0
        self._max_deliveries = max_deliveries
        self._max_bytes = max_bytes
        self._entries: deque[LoggedDelivery] = deque()
        self._bytes = 0
        self._held: dict[str, _HeldKey] = {}
        self.seq = 0

    def keep(self, window: float) -> None:
        """Keep deliveries for at least `window` seconds from now on."""
        if window <= self._window:
            return
        if not self._window:  # Nothing was remembered until now.
            for held in self._held.values():
                held.forgotten = self.seq
        self._window = window

    def advance(self) -> int:
        """Return the next sequence number, for an event that is not remembered."""
        self.seq += 1
        return self.seq

    def append(self, delivery: Delivery, now: float) -> int:
        """Remember a delivery at the loop's time `now`. Returns its sequence number."""
        seq = self.advance()
        if self._window:
            held = self._held
            keys = [key for key in delivery.verdicts if key in held]
            if keys:
                entry = LoggedDelivery(seq, now, keys, _encode(delivery))
                for key in keys:
                    held[key].append(entry)
                self._entries.append(entry)
                self._bytes += entry.size
            self._forget(now)
        return seq

    def seq_at(self, time: float) -> int:
        """Return the sequence number of the last remembered delivery up to the loop's `time`.

        Returns the current number if no later delivery is remembered.
        """
        later = bisect_right(self._entries, time, key=lambda entry: entry.at)
        return self._entries[later].seq - 1 if later < len(self._entries) else self.seq

    def hold(self, key: str) -> None:
        """Remember deliveries for `key` from now on; to be undone by `release`."""
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = _HeldKey(self.seq)
        held.holders += 1

    def release(self, key: str) -> None:
        """Undo one `hold` of `key`."""
        held = self._held[key]
        held.holders -= 1
        if not held.holders:
            del self._held[key]

    def since(self, key: str, seq: int) -> list[LoggedDelivery] | None:
        """Return the deliveries for a held `key` after `seq`, in order; None if some are
        forgotten."""
        held = self._held[key]
        if held.forgotten > seq or not self._window:
            return None
        found: list[LoggedDelivery] = []
        for entry in reversed(held.entries or ()):
            if entry.seq <= seq:
                break
            found.append(entry)
        found.reverse()
        return found

    def _forget(self, now: float) -> None:
        entries = self._entries
        oldest = now - self._window
        while entries and (
            entries[0].at < oldest
            or len(entries) > self._max_deliveries
            or self._bytes > self._max_bytes
        ):
            entry = entries.popleft()
            self._bytes -= entry.size
            for key in entry.keys:
                held = self._held.get(key)
                if held is not None:
                    held.forget(entry)


class _HeldKey:
    """All remembered entries of a key; those up to `forgotten` are no longer known.

    Most keys have no entries most of the time, so there is no empty deque.
    """

    __slots__ = ("entries", "forgotten", "holders")

    def __init__(self, seq: int) -> None:
        self.entries: deque[LoggedDelivery] | None = None
        self.forgotten = seq
        self.holders = 0

    def append(self, entry: LoggedDelivery) -> None:
        if self.entries is None:
            self.entries = deque()
        self.entries.append(entry)

    def forget(self, entry: LoggedDelivery) -> None:
        """Drop `entry` if it is the oldest; it is not here if it is older than the hold."""
        if self.entries and self.entries[0] is entry:
            self.entries.popleft()
            self.forgotten = entry.seq
            self.entries = self.entries or None
