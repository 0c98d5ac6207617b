"""``nexxus worker``: manages the queues of custom workers through the administration API."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import click

from nexxus.cli.options import json_option, server_options
from nexxus.cli.output import print_list
from nexxus.cli.server_client import connect

_PATH: Final = "/workers"


@click.group()
def worker() -> None:
    """List the custom workers of a running server, and remove one that is no longer used.

    A worker's queue takes every event, even if no node runs the worker. After removing a worker
    from server.workers on every node, remove its queue: it would fill up and block writes.

    \b
    nexxus worker list
    nexxus worker remove mail
    """


@worker.command("list")
@json_option
@server_options
def list_(as_json: bool, url: str | None, admin_key: str | None, config_file: str | None) -> None:
    """List the configured workers with the number of events that wait for each."""
    with connect(url, admin_key, config_file) as server:
        items: list[dict[str, Any]] = server.admin("GET", _PATH)["data"]["items"]
    headings = ("NAME", "BACKLOG")
    print_list(items, as_json=as_json, headings=headings, row=_row, none="No custom workers.")


@worker.command()
@click.argument("name", metavar="NAME")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
def remove(
    name: str, yes: bool, url: str | None, admin_key: str | None, config_file: str | None
) -> None:
    """Remove the queue of a worker that is no longer in server.workers of any node."""
    if not yes:
        click.confirm(f"Remove the queue of {name} with the events in it?", abort=True)
    with connect(url, admin_key, config_file) as server:
        click.echo(server.admin("DELETE", f"{_PATH}/{quote(name, safe='')}")["message"])


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (item["name"], str(item["backlog"]))
