"""The writer: takes operations, applies them to what is stored, announces what happened."""

from nexxus.writer.tombstones import TombstoneSweeper
from nexxus.writer.writer import Writer

__all__ = ["TombstoneSweeper", "Writer"]
