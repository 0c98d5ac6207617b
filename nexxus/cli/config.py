"""``nexxus config``: validates and prints the configuration."""

from __future__ import annotations

import click

from nexxus.cli.options import config_option, json_option, set_option
from nexxus.cli.output import print_json
from nexxus.config import Config


@click.group()
def config() -> None:
    """Validate the configuration, or show each effective setting and its source."""


@config.command()
@config_option
@set_option
def check(config_file: str | None, overrides: tuple[str, ...]) -> None:
    """Validate the configuration; connects only to configuration providers.

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
    click.echo("The configuration is valid.")
    click.echo(f"Set by {', '.join(sources)}." if sources else "All settings have their defaults.")


@config.command()
@config_option
@set_option
@json_option
def show(config_file: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Show every effective setting and its source, with secrets masked.

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
