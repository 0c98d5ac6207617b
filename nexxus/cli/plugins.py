"""``nexxus plugins``: lists the adapters that the configuration may select, and begins new ones."""

from __future__ import annotations

from pathlib import Path

import click

from nexxus.cli.options import json_option
from nexxus.cli.output import print_json, print_table
from nexxus.cli.root import CommandFailed
from nexxus.plugins import Catalog
from nexxus.scaffold.kinds import KINDS


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the adapters that the configuration may select, and where they come from.

    Installing a plugin's package into the same environment adds its adapters to this list.

    \b
    nexxus plugins
    nexxus plugins new audit --kind worker
    """
    if ctx.invoked_subcommand is not None:
        return
    offers = Catalog.discover().offers()
    rows = [(str(offer.kind), offer.adapter.name, offer.origin, offer.summary) for offer in offers]
    if as_json:
        keys = ("kind", "name", "origin", "summary")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        print_table(("KIND", "NAME", "FROM", ""), rows)


@plugins.command()
@click.argument("name")
@click.option(
    "--kind", type=click.Choice(list(KINDS)), required=True, help="What the plugin offers."
)
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the package's folder is made.  [default: here]",
)
def new(name: str, kind: str, into: Path) -> None:
    """Write the package of a new plugin, a small one that works and passes its tests.

    NAME is what a configuration selects it by; the package is called nexxus-NAME.

    \b
    nexxus plugins new audit --kind worker
    cd nexxus-audit && pip install -e ".[test]" && pytest
    """
    from nexxus.scaffold.package import NewPlugin, write

    plugin = NewPlugin(name.removeprefix("nexxus-"), KINDS[kind])
    try:
        written = write(plugin, into)
    except OSError as error:
        raise CommandFailed(f"the package cannot be written: {error}") from error
    for path in written:
        click.echo(path)
    click.echo(f'\ncd {into / plugin.distribution} && pip install -e ".[test]" && pytest')
