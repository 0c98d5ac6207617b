"""Partitions: the partition of a key, and the assignment of partitions to a group's members."""

from __future__ import annotations

import zlib
from hashlib import blake2b


def partition_of(key: str, partitions: int) -> int:
    """Return the partition of a key, from 0: the same in every process and version."""
    return zlib.crc32(key.encode()) % partitions


def assign(partitions: int, members: list[str]) -> list[str]:
    """Return the member of each partition: evenly, and mostly unchanged when members change.

    Rendezvous hashing with a bound: each partition goes to its highest-scoring member that does
    not have its share yet. `members` must not be empty; their order does not matter.
    """
    share = -(-partitions // len(members))
    load = dict.fromkeys(members, 0)
    owners = []
    for partition in range(partitions):
        free = [member for member in members if load[member] < share]
        owner = max(free, key=lambda member: _score(member, partition))
        load[owner] += 1
        owners.append(owner)
    return owners


def _score(member: str, partition: int) -> bytes:
    return blake2b(f"{partition}/{member}".encode(), digest_size=8).digest()
