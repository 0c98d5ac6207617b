"""``nexxus config``: what is in force, and whether it can work."""

from __future__ import annotations

import click

from nexxus.cli.options import config_option, json_option, set_option
from nexxus.cli.output import print_json
from nexxus.config import Config


@click.group()
def config() -> None:
    """Check the configuration, or show what is in force and where it comes from."""


@config.command()
@config_option
@set_option
def check(config_file: str | None, overrides: tuple[str, ...]) -> None:
    """Say whether the configuration is sound; connects to configuration providers only.

    \b
    nexxus config check
    nexxus config check --config /etc/nexxus.toml && systemctl restart nexxus
    """
    loaded = Config.load(config_file, overrides=overrides)
    from nexxus.config.declared import check_applications
    from nexxus.config.roles import check_roles

    check_roles(loaded)
    check_applications(loaded)
    sources = sorted({origin for origin in loaded.origins.values() if origin != "default"})
    click.echo("The configuration is sound.")
    click.echo(f"Set by {', '.join(sources)}." if sources else "Everything is at its default.")


@config.command()
@config_option
@set_option
@json_option
def show(config_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show every setting that is in force and where it comes from, secrets masked.

    \b
    nexxus config show
    NEXXUS_API__PORT=9000 nexxus config show --json
    """
    loaded = Config.load(config_file, overrides=overrides)
    from nexxus.config.report import describe, to_toml

    if as_json:
        print_json(describe(loaded))
    else:
        click.echo(to_toml(loaded), nl=False)
