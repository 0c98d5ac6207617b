"""The writer: applies operations to the stored objects, and announces the outcome."""

from nexxus.writer.tombstones import TombstoneSweeper
from nexxus.writer.writer import Writer

__all__ = ["TombstoneSweeper", "Writer"]
