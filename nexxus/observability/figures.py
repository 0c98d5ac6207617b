"""Figures: a process's metrics, each declared beside the code that it measures::

    class WriterFigures(msgspec.Struct):
        applied: Annotated[int, counter("Writes that were applied to objects.")] = 0

    self.figures = WriterFigures()
    figures.under("writer").add(self.figures)      # once, in the composition root
    self.figures.applied += 1                      # on the hot path: an attribute of a struct

The attributes are read at each scrape; nothing is locked, copied or formatted before.
"""

from __future__ import annotations

import asyncio
import inspect
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias, get_args, get_origin

import msgspec

FigureKind: TypeAlias = Literal["counter", "gauge", "histogram"]

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The default upper bounds of a duration's buckets."""

_PATIENCE: Final = 2.0
"""Seconds for each read at a scrape: metrics are needed most when a service is down."""


class Figure(msgspec.Struct, frozen=True):
    """Describes a field of a struct of figures. `labels` are the names of its labels.

    The figure's name ends with the field's name; a counter also gets ``_total``. Without labels,
    the field's value is a number or a `Histogram`. With labels, it is a mapping to these, from the
    label's value or a tuple of the labels' values.
    """

    kind: FigureKind
    help: str
    labels: tuple[str, ...] = ()


def counter(help: str, *labels: str) -> Figure:
    """Describe a number that only increases."""
    return Figure("counter", help, labels)


def gauge(help: str, *labels: str) -> Figure:
    """Describe a number that goes up and down."""
    return Figure("gauge", help, labels)


def histogram(help: str, *labels: str) -> Figure:
    """Describe a `Histogram`."""
    return Figure("histogram", help, labels)


class Histogram:
    """Counts values by bucket. `bounds` are the buckets' upper bounds."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


class Sample(msgspec.Struct, frozen=True):
    """One number or one histogram of a family."""

    labels: Mapping[str, str]
    value: float | Histogram


class Family(msgspec.Struct, frozen=True):
    """A figure with its full name and all its samples."""

    name: str
    kind: FigureKind
    help: str
    samples: list[Sample]


Source: TypeAlias = Callable[[], msgspec.Struct | Awaitable[msgspec.Struct]]


class _Entry(msgspec.Struct, frozen=True):
    prefix: str
    labels: Mapping[str, str]
    read: Source


class Figures:
    """Collects the figures of a process; each part has a place `under` its name.

    At a scrape, a read may take `patience` seconds.
    """

    def __init__(self, prefix: str = "nexxus", *, patience: float = _PATIENCE) -> None:
        self._prefix = prefix
        self._patience = patience
        self._entries: list[_Entry] = []

    def under(self, *names: str) -> Figures:
        """Return the place for figures whose names begin with `names`: ``nexxus_<name>_…``."""
        place = Figures("_".join([self._prefix, *map(_clean, names)]), patience=self._patience)
        place._entries = self._entries
        return place

    def add(self, figures: msgspec.Struct, **labels: str) -> None:
        """Include a part's figures from now on, all with these labels.

        Raises `TypeError` for a struct without figures.
        """
        if not described(type(figures)):
            raise TypeError(f"{type(figures).__name__} has no field that is annotated as a figure")
        self._entries.append(_Entry(self._prefix, labels, lambda: figures))

    def read(self, read: Source, **labels: str) -> None:
        """Include the struct of figures that `read` returns; it is called at each scrape.

        It may be asynchronous. If it raises or takes too long, its figures are missing from that
        scrape.
        """
        self._entries.append(_Entry(self._prefix, labels, read))

    async def collect(self, on_error: Callable[[str, Exception], None]) -> list[Family]:
        """Return the current figures, sorted by name.

        For figures that cannot be read, `on_error` is called with their place and the reason.
        """
        families: dict[str, Family] = {}
        structs = await asyncio.gather(*(self._read(entry, on_error) for entry in self._entries))
        for entry, struct in zip(self._entries, structs, strict=True):
            for family in () if struct is None else _families(entry, struct):
                known = families.setdefault(family.name, family)
                if known is not family:
                    known.samples.extend(family.samples)
        return [families[name] for name in sorted(families)]

    async def _read(
        self, entry: _Entry, on_error: Callable[[str, Exception], None]
    ) -> msgspec.Struct | None:
        try:
            struct = entry.read()
            if inspect.isawaitable(struct):
                async with asyncio.timeout(self._patience):
                    struct = await struct
        except Exception as error:  # a plugin may raise anything; other figures must still be shown
            on_error(entry.prefix, error)
            return None
        return struct


def described(type_: type[msgspec.Struct]) -> dict[str, Figure]:
    """Return the figures declared by a struct type, by field."""
    found = {}
    for field in msgspec.structs.fields(type_):
        for mark in get_args(field.type) if get_origin(field.type) is Annotated else ():
            if isinstance(mark, Figure):
                found[field.name] = mark
    return found


def _families(entry: _Entry, struct: msgspec.Struct) -> Iterator[Family]:
    for field, figure in described(type(struct)).items():
        name = f"{entry.prefix}_{field}{'_total' if figure.kind == 'counter' else ''}"
        samples = list(_samples(entry.labels, figure, getattr(struct, field)))
        yield Family(name, figure.kind, figure.help, samples)


def _samples(shared: Mapping[str, str], figure: Figure, value: Any) -> Iterator[Sample]:
    if not figure.labels:
        yield Sample(shared, value)
        return
    for key, each in value.items():
        values = key if isinstance(key, tuple) else (key,)
        own = zip(figure.labels, map(str, values), strict=True)
        yield Sample({**shared, **dict(own)}, each)


def _clean(name: str) -> str:
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in name)
