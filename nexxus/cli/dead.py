"""``nexxus dead``: manages dead letters through the administration API."""

from __future__ import annotations

import datetime
from typing import Any, Final
from urllib.parse import quote

import click

from nexxus.cli.options import json_option, server_options
from nexxus.cli.output import print_json, print_list
from nexxus.cli.root import CommandFailed
from nexxus.cli.server_client import ServerClient, connect

_PATH: Final = "/dead-letters"
_ALL: Final = 10_000
_WIDTH: Final = 60

_ids_argument = click.argument("ids", metavar="[ID]...", nargs=-1)
_all_option = click.option(
    "--all", "every", is_flag=True, help="All dead letters, or all of --queue."
)
_queue_option = click.option(
    "--queue", metavar="QUEUE", help="Only those of one queue, such as writer."
)


@click.group()
def dead() -> None:
    """List, show, replay and discard dead letters of a running server.

    A dead letter is a message that could not be processed: it could not be decoded, its worker
    gave up on it, or it crashed its consumer repeatedly. Its reason says which. Fix the cause, then
    replay it.

    \b
    nexxus dead list
    nexxus dead show 0198…
    nexxus dead replay 0198…
    nexxus dead replay --all --queue worker.mail
    """


@dead.command("list")
@_queue_option
@click.option("--limit", type=click.IntRange(1, _ALL), default=100, show_default=True)
@json_option
@server_options
def list_(
    queue: str | None,
    limit: int,
    as_json: bool,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """List the dead letters, oldest first."""
    with connect(url, admin_key, config_file) as server:
        items = _letters(server, queue, limit)
    headings = ("ID", "QUEUE", "SINCE", "REASON")
    print_list(items, as_json=as_json, headings=headings, row=_row, none="No dead letters.")


@dead.command()
@click.argument("letter_id", metavar="ID")
@server_options
def show(letter_id: str, url: str | None, admin_key: str | None, config_file: str | None) -> None:
    """Print a dead letter with its payload."""
    with connect(url, admin_key, config_file) as server:
        print_json(server.admin("GET", f"{_PATH}/{quote(letter_id, safe='')}")["data"])


@dead.command()
@_ids_argument
@_all_option
@_queue_option
@server_options
def replay(
    ids: tuple[str, ...],
    every: bool,
    queue: str | None,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Put dead letters back at the end of their queues."""
    with connect(url, admin_key, config_file) as server:
        count = _act(server, "replay", _chosen(server, ids, queue, every=every))
    _report(count, "replayed", ids)


@dead.command()
@_ids_argument
@_all_option
@_queue_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
def discard(
    ids: tuple[str, ...],
    every: bool,
    queue: str | None,
    yes: bool,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Delete dead letters permanently."""
    with connect(url, admin_key, config_file) as server:
        chosen = _chosen(server, ids, queue, every=every)
        if chosen and not yes:
            click.confirm(f"Delete {len(chosen)} messages permanently?", abort=True)
        count = _act(server, "discard", chosen)
    _report(count, "discarded", ids)


def _chosen(
    server: ServerClient, ids: tuple[str, ...], queue: str | None, *, every: bool
) -> list[str]:
    if every == bool(ids) or (queue is not None and not every):
        raise click.UsageError("Give ids, or --all, with --queue for those of one queue.")
    return [item["id"] for item in _letters(server, queue, _ALL)] if every else list(ids)


def _letters(server: ServerClient, queue: str | None, limit: int) -> list[dict[str, Any]]:
    params: dict[str, Any] = {"limit": limit} | ({} if queue is None else {"queue": queue})
    items: list[dict[str, Any]] = server.admin("GET", _PATH, params=params)["data"]["items"]
    return items


def _act(server: ServerClient, verb: str, ids: list[str]) -> int:
    if not ids:
        return 0
    count: int = server.admin("POST", f"{_PATH}/{verb}", json={"ids": ids})["data"]["count"]
    return count


def _report(count: int, done: str, ids: tuple[str, ...]) -> None:
    """Print how many letters there were; fail if some of the given ids name none."""
    click.echo(f"{count} {done}.")
    missing = len(set(ids)) - count
    if missing > 0:
        raise CommandFailed(f"{missing} of the ids name no dead letter; see nexxus dead list")


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    since = datetime.datetime.fromtimestamp(item["buriedAt"], datetime.UTC)
    reason = " ".join(item["reason"].split())
    shown = reason if len(reason) <= _WIDTH else f"{reason[: _WIDTH - 1]}…"
    return (item["id"], item["queue"], since.strftime("%Y-%m-%d %H:%M:%SZ"), shown)
