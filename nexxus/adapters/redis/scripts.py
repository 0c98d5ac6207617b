"""Lua that Redis runs as one step."""

from __future__ import annotations

import hashlib
from typing import Final, Literal, TypeAlias

Flag: TypeAlias = Literal["no-writes", "allow-oom"]
"""``no-writes`` only reads. ``allow-oom`` runs even when Redis is at its maxmemory: what frees
memory, and the signs of life, without which every node would be taken for dead."""

NOW: Final = """
local function now(per_second)
  local time = redis.call('TIME')
  return tonumber(time[1]) * per_second + math.floor(tonumber(time[2]) * per_second / 1000000)
end
-- Lua would print a number of sixteen digits as 1.7e+15.
local function text(number) return string.format('%.0f', number) end
"""
"""Redis's own clock, in units of which `per_second` make a second: nodes' clocks may differ."""


class Script:
    """One script; Redis knows it by its digest once it has run it."""

    def __init__(self, *parts: str, flag: Flag | None = None) -> None:
        first_line = "#!lua" if flag is None else f"#!lua flags={flag}"
        self.source = "\n".join((first_line, *parts))
        self.digest = hashlib.sha1(self.source.encode()).hexdigest()
