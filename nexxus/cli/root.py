"""The ``nexxus`` command: finds its subcommands and turns errors into exit codes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any, Final

import click

from nexxus.errors import ConfigurationError, NexxusError
from nexxus.version import __version__

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2


class CommandFailed(click.ClickException):
    """A command failed; shown as one line, with exit code 1."""

    exit_code = FAILED


class Misuse(CommandFailed):
    """The command line or the configuration is wrong; shown as one line, with exit code 2."""

    exit_code = MISUSED


class LazyGroup(click.Group):
    """A group whose commands are imported only when they are used.

    `lazy` maps a command's name to its ``module:attribute`` and its line of help, so that the
    overview imports no command.
    """

    def __init__(
        self, *args: Any, lazy: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._lazy = dict(lazy or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            hint = _did_you_mean(args[0], known)
            raise click.UsageError(f"There is no command {args[0]!r}.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in self._lazy.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            raise Misuse(str(error)) from error
        except NexxusError as error:
            raise CommandFailed(str(error)) from error


_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("nexxus.cli.serve:serve", "Run the server, or some of its roles."),
    "check": ("nexxus.cli.check:check", "Check whether a running server is ready."),
    "app": ("nexxus.cli.app:app", "Create, show, change and delete applications."),
    "user": ("nexxus.cli.user:user", "List, change and delete an application's users."),
    "dead": ("nexxus.cli.dead:dead", "List, show, replay and discard dead letters."),
    "worker": ("nexxus.cli.worker:worker", "List custom workers and remove unused ones."),
    "tail": ("nexxus.cli.tail:tail", "Print changes of a model's objects as they happen."),
    "bench": ("nexxus.cli.bench:bench", "Measure a running server in a few seconds."),
    "config": ("nexxus.cli.config:config", "Validate or show the configuration."),
    "plugins": ("nexxus.cli.plugins:plugins", "List the adapters and where they come from."),
    "completion": ("nexxus.cli.completion:completion", "Print a completion script for a shell."),
    "version": ("nexxus.cli.version:version", "Print the version."),
}


@click.group(
    cls=LazyGroup,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 failure, 2 the command line or the configuration is wrong.",
)
@click.version_option(__version__, prog_name="nexxus")
def cli() -> None:
    """Nexxus, a self-hosted real-time synchronization backend.

    \b
    nexxus serve --demo                  run a server with a demo application
    nexxus serve                         run a server, configured by nexxus.toml if it exists
    nexxus app create --file app.json    create an application
    nexxus tail tasks task               print every change of a task as it happens
    """


def main() -> None:
    """Run the command from the command line, and exit."""
    cli(prog_name="nexxus")


def _did_you_mean(word: str, candidates: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(word, candidates, 1)
    return f" Did you mean {near[0]!r}?" if near else ""
