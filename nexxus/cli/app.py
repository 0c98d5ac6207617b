"""``nexxus app``: manages applications through the administration API."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click
import msgspec

from nexxus.cli.options import json_option, server_options
from nexxus.cli.output import print_json, print_list
from nexxus.cli.root import Misuse
from nexxus.cli.server_client import connect

_file_option = click.option(
    "--file",
    "document",
    required=True,
    metavar="FILE",
    callback=lambda _ctx, _param, value: _read(value),
    help="The application as JSON, or as TOML if the name ends in .toml; - for standard input.",
)


@click.group()
def app() -> None:
    """Create, show, change and delete applications on a running server.

    \b
    nexxus app create --file tasks.json
    nexxus app list
    nexxus app update tasks --file changes.json
    """


@app.command()
@_file_option
@server_options
def create(
    document: dict[str, Any], url: str | None, admin_key: str | None, config_file: str | None
) -> None:
    """Create an application and print it.

    \b
    nexxus app create --file tasks.json
    echo '{"id": "notes", "name": "Notes", "schema": {"note": {"text": {"type": "string"}}}}' \\
      | nexxus app create --file -
    """
    with connect(url, admin_key, config_file) as server:
        print_json(server.admin("POST", "/applications", json=document)["data"])


@app.command("list")
@json_option
@server_options
def list_(as_json: bool, url: str | None, admin_key: str | None, config_file: str | None) -> None:
    """List the applications."""
    with connect(url, admin_key, config_file) as server:
        items = server.admin("GET", "/applications")["data"]["items"]
    none = "There are no applications; create one with nexxus app create --file FILE."
    print_list(items, as_json=as_json, headings=("ID", "NAME", "MODELS"), row=_row, none=none)


@app.command()
@click.argument("app_id", metavar="ID")
@server_options
def show(app_id: str, url: str | None, admin_key: str | None, config_file: str | None) -> None:
    """Print an application, without its secrets."""
    with connect(url, admin_key, config_file) as server:
        print_json(server.admin("GET", _path(app_id))["data"])


@app.command()
@click.argument("app_id", metavar="ID")
@_file_option
@server_options
def update(
    app_id: str,
    document: dict[str, Any],
    url: str | None,
    admin_key: str | None,
    config_file: str | None,
) -> None:
    """Replace the top-level keys that the file contains, keep the others, and print the result."""
    with connect(url, admin_key, config_file) as server:
        print_json(server.admin("PUT", _path(app_id), json=document)["data"])


@app.command()
@click.argument("app_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@server_options
def delete(
    app_id: str, yes: bool, url: str | None, admin_key: str | None, config_file: str | None
) -> None:
    """Delete an application with all its users, devices and objects."""
    if not yes:
        click.confirm(f"Delete {app_id} with all its data?", abort=True)
    with connect(url, admin_key, config_file) as server:
        click.echo(server.admin("DELETE", _path(app_id))["message"])


def _path(app_id: str) -> str:
    return f"/applications/{quote(app_id, safe='')}"


def _read(file: str) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        document = tomllib.loads(text) if file.endswith(".toml") else msgspec.json.decode(text)
    except OSError as error:
        raise click.BadParameter(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, msgspec.DecodeError) as error:
        raise Misuse(f"--file {file}: {error}") from error
    if not isinstance(document, dict):
        raise Misuse(f"--file {file}: expected an application document, which is an object")
    return document


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    return (item["id"], item.get("name", ""), ", ".join(item.get("schema", {})))
