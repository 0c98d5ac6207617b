"""The output of commands: tables for people, JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as their widest cell, under dimmed headings.

    What a terminal would obey instead of show is escaped.
    """
    rows = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    click.secho(_line(headings, widths), dim=True)
    for row in rows:
        click.echo(_line(row, widths))


def print_list(
    items: Sequence[Any],
    *,
    as_json: bool,
    headings: Sequence[str],
    row: Callable[[Any], Sequence[str]],
    none: str,
) -> None:
    """Print a list as JSON, or as a table with a `row` per item, or `none` if it is empty."""
    if as_json:
        print_json(items)
    elif not items:
        click.echo(none)
    else:
        print_table(headings, [row(item) for item in items])


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()
