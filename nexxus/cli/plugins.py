"""``nexxus plugins``: lists the adapters that the configuration may select."""

from __future__ import annotations

import click

from nexxus.cli.options import json_option
from nexxus.cli.output import print_json, print_table
from nexxus.plugins import Catalog


@click.command()
@json_option
def plugins(as_json: bool) -> None:
    """List the adapters that the configuration may select, and where they come from.

    Installing a plugin's package into the same environment adds its adapters to this list.
    """
    offers = Catalog.discover().offers()
    rows = [(str(offer.kind), offer.adapter.name, offer.origin, offer.summary) for offer in offers]
    if as_json:
        keys = ("kind", "name", "origin", "summary")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(("KIND", "NAME", "FROM", ""), rows)
