"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(dir_okay=False),
    metavar="FILE",
    help="The configuration file.  [default: nexxus.toml, if it exists]",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="SECTION.KEY=VALUE",
    help="Set one key of the configuration; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def server_options(command: F) -> F:
    """Add ``--url``, ``--admin-key`` and ``--config``, which select the server and the key."""
    for option in (
        config_option,
        click.option(
            "--admin-key",
            metavar="KEY",
            help="The admin key.  [default: the setting admin.key (NEXXUS_ADMIN__KEY), otherwise "
            "the file admin.key in the data directory]",
        ),
        click.option(
            "--url",
            metavar="URL",
            help="The server.  [default: from the configuration, http://127.0.0.1:8080]",
        ),
    ):
        command = option(command)
    return command
