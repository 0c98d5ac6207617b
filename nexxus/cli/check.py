"""``nexxus check``: shows the health of a running server, for people and for scripts."""

from __future__ import annotations

import time
from typing import Any, Final

import click

from nexxus.cli.options import json_option, server_options
from nexxus.cli.output import print_json
from nexxus.cli.root import FAILED, CommandFailed
from nexxus.cli.server_client import ServerClient, connect

_PAUSE: Final = 0.2


@click.command(epilog="Exit codes: 0 ready, 1 not ready or not reachable, 2 wrong usage.")
@server_options
@click.option(
    "--wait", type=float, default=0, metavar="SECONDS", help="Retry this long until it is ready."
)
@json_option
@click.pass_context
def check(
    ctx: click.Context,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
    wait: float,
    as_json: bool,
) -> None:
    """Check whether a running server and the services behind it are ready.

    \b
    nexxus check
    nexxus check --url https://sync.example --wait 30
    """
    with connect(url, admin_key, config_file) as server:
        ready, answer = _ask(server, time.monotonic() + wait)
    if as_json:
        print_json(answer)
    else:
        click.echo(f"{server.url} is {'ready' if ready else 'not ready'}")
        for name, state in _parts(answer):
            click.echo(f"  {name}: {state}")
    ctx.exit(0 if ready else FAILED)


def _ask(server: ServerClient, deadline: float) -> tuple[bool, Any]:
    """Return whether the server is ready, and its response; retries until the deadline."""
    while True:
        try:
            response = server.send("GET", "/readyz")
            if response.status_code == 200 or time.monotonic() >= deadline:
                return response.status_code == 200, response.json()
        except CommandFailed:
            if time.monotonic() >= deadline:
                raise
        except ValueError as error:
            raise CommandFailed(
                f"the response from {server.url} is not JSON; is this a Nexxus server?"
            ) from error
        time.sleep(_PAUSE)


def _parts(answer: Any) -> list[tuple[str, str]]:
    """Return the state of each part, from ``checks`` or ``details`` of the response."""
    if not isinstance(answer, dict):
        return []
    for key in ("checks", "details"):
        if isinstance(answer.get(key), dict):
            return [(name, str(state)) for name, state in answer[key].items()]
    return [("message", str(answer["message"]))] if "message" in answer else []
