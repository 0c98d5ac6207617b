"""The tables in the file, as one transaction sees them.

- ``models``: application and model → the filterable paths that were prepared;
- ``records``: a digest of application and model, then the object's id → the record;
- ``tombstones``: the UNIX second of a delete, then the record's key → nothing.

The objects of a model therefore lie side by side, and old tombstones are found without looking at
any other record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

import lmdb
import msgspec

from nexxus.domain.objects import Document, ObjectKey
from nexxus.interfaces.database import Record

NAMES: Final = ("models", "records", "tombstones")

_SECOND_BYTES: Final = 8

_decode_record = msgspec.msgpack.Decoder(Record).decode
_decode_paths = msgspec.msgpack.Decoder(frozenset[str]).decode


class Tables:
    """Reads and writes within a transaction. `handles` are those of the tables, by name."""

    def __init__(self, transaction: lmdb.Transaction, handles: Mapping[str, Any]) -> None:
        self._transaction = transaction
        self._models = handles["models"]
        self._records = handles["records"]
        self._tombstones = handles["tombstones"]

    def paths(self, app_id: str, model: str) -> frozenset[str] | None:
        """Return the prepared paths of a model, or None if it was never prepared."""
        found = self._transaction.get(_model_key(app_id, model), db=self._models)
        return None if found is None else _decode_paths(found)

    def prepare(self, app_id: str, model: str, paths: Sequence[str]) -> None:
        """Store which paths of a model may be filtered and sorted by."""
        packed = msgspec.msgpack.encode(paths)
        self._transaction.put(_model_key(app_id, model), packed, db=self._models)

    def drop(self, app_id: str) -> None:
        """Remove everything of an application."""
        models = [key for key, _ in self._range(self._models, _model_key(app_id, ""))]
        for model in models:
            for key, _ in list(self._range(self._records, _digest(model))):
                self._transaction.delete(key, db=self._records)
            self._transaction.delete(model, db=self._models)

    def get(self, key: ObjectKey) -> Record | None:
        """Return what is stored of an object, tombstones included."""
        found = self._transaction.get(_record_key(key), db=self._records)
        return None if found is None else _decode_record(found)

    def put(self, key: ObjectKey, record: Record) -> None:
        """Store a record."""
        stored = msgspec.structs.replace(record, token=None)
        name = _record_key(key)
        self._transaction.put(name, msgspec.msgpack.encode(stored), db=self._records)
        if record.deleted_at is not None:
            self._transaction.put(_second(record.deleted_at) + name, b"", db=self._tombstones)

    def documents(self, app_id: str, model: str) -> Iterator[Document]:
        """Iterate over the objects of a model, in the order of their ids."""
        for _, packed in self._range(self._records, _digest(_model_key(app_id, model))):
            record = _decode_record(packed)
            if record.deleted_at is None:
                yield record.document

    def purge(self, deleted_before: int) -> int:
        """Remove the tombstones of deletes before a UNIX second; return how many there were."""
        removed, end = 0, _second(deleted_before)
        for entry, _ in list(self._range(self._tombstones, b"", end)):
            name = entry[_SECOND_BYTES:]
            packed = self._transaction.get(name, db=self._records)
            # The object may have been created again since, or dropped.
            if packed is not None and _decode_record(packed).deleted_at == _seconds_of(entry):
                self._transaction.delete(name, db=self._records)
                removed += 1
            self._transaction.delete(entry, db=self._tombstones)
        return removed

    def _range(
        self, table: Any, prefix: bytes, end: bytes | None = None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Iterate over the entries whose keys begin with `prefix` and come before `end`."""
        with self._transaction.cursor(db=table) as cursor:
            cursor.set_range(prefix)
            for found, value in cursor:
                key = bytes(found)
                if not key.startswith(prefix) or (end is not None and key >= end):
                    return
                yield key, bytes(value)


def _model_key(app_id: str, model: str) -> bytes:
    return f"{app_id}\0{model}".encode()


def _record_key(key: ObjectKey) -> bytes:
    # An id has at most 128 ASCII characters, and a key of LMDB at most 511 bytes.
    return _digest(_model_key(key.app_id, key.type)) + key.id.encode()


def _digest(model_key: bytes) -> bytes:
    return blake2b(model_key, digest_size=16).digest()


def _second(seconds: int) -> bytes:
    return seconds.to_bytes(_SECOND_BYTES, "big")


def _seconds_of(entry: bytes) -> int:
    return int.from_bytes(entry[:_SECOND_BYTES], "big")
