"""Documents: converts records to the documents in the index, and back."""

from __future__ import annotations

from binascii import a2b_base64
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgspec

from nexxus.adapters.elasticsearch.layouts import Layout
from nexxus.domain.objects import Document
from nexxus.interfaces.database import Record

STORED: Final = ("document", "memory", "version", "deletedAt")
"""What a record is read from; the rest is for searching."""

_encode = msgspec.json.Encoder().encode
_decode_document = msgspec.json.Decoder(dict[str, Any]).decode


class Token(NamedTuple):
    """Names one state of one stored document, for Elasticsearch's compare-and-set."""

    seq_no: int
    primary_term: int


def encode_record(record: Record, layout: Layout) -> bytes:
    """The document to store for a record, as JSON."""
    # A string within JSON, so that nothing on the way reads or rounds what it holds.
    source: dict[str, Any] = {
        "document": _encode(record.document).decode(),
        "memory": record.memory,  # as Base64
        "version": record.version,
        "layout": layout.digest,
        **layout.values_of(record.document),
    }
    if record.deleted_at is not None:
        source["deletedAt"] = record.deleted_at
    return _encode(source)


def decode_record(hit: Mapping[str, Any]) -> Record:
    """The record of a document that was got or found with its sequence number."""
    source = hit["_source"]
    return Record(
        document=decode_document(hit),
        version=source["version"],
        deleted_at=source.get("deletedAt"),
        memory=a2b_base64(source["memory"]),
        token=Token(hit["_seq_no"], hit["_primary_term"]),
    )


def decode_document(hit: Mapping[str, Any]) -> Document:
    """The object of a document that was found."""
    return _decode_document(hit["_source"]["document"])
