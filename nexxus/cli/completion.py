"""``nexxus completion``: prints shell completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from nexxus.cli.root import cli


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script for a shell.

    \b
    bash   eval "$(nexxus completion bash)"     in ~/.bashrc
    zsh    eval "$(nexxus completion zsh)"      in ~/.zshrc
    fish   nexxus completion fish > ~/.config/fish/completions/nexxus.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, f"click completes {shell}"
    click.echo(kind(cli, {}, "nexxus", "_NEXXUS_COMPLETE").source())
