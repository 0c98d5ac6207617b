"""``nexxus serve``: runs the server."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from nexxus.cli.options import config_option, set_option
from nexxus.config import Config, Setting


@click.command(
    epilog="Exit codes: 0 stopped after draining, 1 the start or a role failed, "
    "2 the configuration is wrong."
)
@config_option
@click.option(
    "--roles",
    metavar="LIST",
    help="Roles to run, separated by commas: api, writer, transport-manager, gateway, workers.  "
    "[default: all]",
)
@click.option("--host", metavar="HOST", help="The address to listen on.  [default: 127.0.0.1]")
@click.option("--port", type=int, metavar="PORT", help="The API's port.  [default: 8080]")
@click.option(
    "--gateway-port", type=int, metavar="PORT", help="The gateway's port.  [default: 8081]"
)
@click.option("--data-dir", metavar="DIR", help="The data directory.  [default: ./nexxus-data]")
@set_option
@click.option("--demo", is_flag=True, help="Create the application `demo`, serve example pages.")
@click.pass_context
def serve(
    ctx: click.Context, /, config_file: str | None, overrides: tuple[str, ...], **flags: Any
) -> None:
    """Run the server until SIGTERM or Ctrl-C; a second one stops it immediately.

    In descending priority, settings come from these options, the environment (NEXXUS_API__PORT),
    configuration providers, the file and the defaults; `nexxus config show` prints their sources.

    \b
    nexxus serve
    nexxus serve --demo --port 9000
    nexxus serve --config /etc/nexxus.toml --roles api,gateway
    nexxus serve --set logger.format=json --set limits.requests_per_second=50
    """
    load = partial(Config.load, config_file, overrides=[*overrides, *_settings(flags)])
    config = load()
    from nexxus.process.process import serve as run

    ctx.exit(run(config, load))


def _settings(flags: dict[str, Any]) -> list[Setting]:
    """Return the settings that the short options stand for; they override ``--set``."""
    given = {name: value for name, value in flags.items() if value is not None}
    if not given["demo"]:  # without the flag, the configuration decides
        del given["demo"]
    if "roles" in given:
        given["roles"] = [role.strip() for role in given["roles"].split(",") if role.strip()]
    keys: dict[str, list[tuple[str, str]]] = {
        "roles": [("server", "roles")],
        "host": [("api", "host"), ("gateway", "host")],
        "port": [("api", "port")],
        "gateway_port": [("gateway", "port")],
        "data_dir": [("server", "data_dir")],
        "demo": [("server", "demo")],
    }
    return [
        Setting(path, value, f"command line --{name.replace('_', '-')}")
        for name, value in given.items()
        for path in keys[name]
    ]
