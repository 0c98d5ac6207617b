"""``nexxus user``: manages an application's users through the administration API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click

from nexxus.cli.options import json_option, server_options
from nexxus.cli.output import print_list
from nexxus.cli.server_client import connect


@click.group()
def user() -> None:
    """List, change and delete an application's users on a running server.

    \b
    nexxus user list tasks
    nexxus user update tasks 0198… --type staff
    nexxus user update tasks 0198… --disable
    """


@user.command("list")
@click.argument("app_id", metavar="APP")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True)
@click.option("--offset", type=click.IntRange(min=0), default=0, show_default=True)
@json_option
@server_options
def list_(
    app_id: str,
    limit: int,
    offset: int,
    as_json: bool,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """List the users."""
    with connect(url, admin_key, config_file) as server:
        page = {"limit": limit, "offset": offset}
        items = server.admin("GET", _path(app_id), params=page)["data"]["items"]
    headings = ("ID", "USERNAME", "TYPE", "STATE")
    print_list(items, as_json=as_json, headings=headings, row=_row, none="No users.")


@user.command()
@click.argument("app_id", metavar="APP")
@click.argument("user_id", metavar="USER")
@click.option("--type", "user_type", metavar="TYPE", help="Change the user's type.")
@click.option("--disable/--enable", "disabled", default=None, help="Disable or enable the user.")
@server_options
def update(
    app_id: str,
    user_id: str,
    user_type: str | None,
    disabled: bool | None,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Change a user's type, or disable or enable the user; this ends the user's sessions."""
    changes: dict[str, Any] = {}
    if user_type is not None:
        changes["userType"] = user_type
    if disabled is not None:
        changes["disabled"] = disabled
    if not changes:
        raise click.UsageError("Nothing to change: give --type, --disable or --enable.")
    with connect(url, admin_key, config_file) as server:
        server.admin("PUT", f"{_path(app_id)}/{quote(user_id, safe='')}", json=changes)
    click.echo(f"{user_id} was changed.")


@user.command()
@click.argument("app_id", metavar="APP")
@click.argument("user_id", metavar="USER")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
def delete(
    app_id: str,
    user_id: str,
    yes: bool,
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Delete a user with all devices and sessions of the user."""
    if not yes:
        click.confirm(f"Delete the user {user_id} of {app_id}?", abort=True)
    with connect(url, admin_key, config_file) as server:
        server.admin("DELETE", f"{_path(app_id)}/{quote(user_id, safe='')}")
    click.echo(f"{user_id} was deleted.")


def _path(app_id: str) -> str:
    return f"/applications/{quote(app_id, safe='')}/users"


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    state = "disabled" if item.get("disabled") else "enabled"
    return (item["id"], str(item.get("username", "")), str(item.get("userType", "")), state)
