"""The kinds of plugins that a package can be written for."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec


class NewKind(msgspec.Struct, frozen=True, kw_only=True):
    """What the templates of a kind have in common with those of others.

    `module` is the implementation's, `suffix` the end of its class's name, and `arguments` what
    `create` gives to it. `selection` says how a configuration selects the adapter; ``<<name>>``
    stands for its name. `shows` says what the conformance kit of the kind, `kit`, tests.
    """

    name: str
    title: str
    hook: str
    interface_module: str
    interface: str
    module: str
    suffix: str
    arguments: str
    summary: str
    selection: str
    kit: str
    shows: str


def _toml(text: str, introduction: str = "Select it in `nexxus.toml`:") -> str:
    return f"{introduction}\n\n```toml\n{text}\n```"


_KINDS: Final = (
    NewKind(
        name="worker",
        title="custom worker",
        hook="nexxus_workers",
        interface_module="worker",
        interface="Worker",
        module="worker",
        suffix="Worker",
        arguments="settings, data_dir=context.data_dir",
        summary="appends a line to a file for each event",
        selection=_toml('[server]\nworkers = ["<<name>>"]'),
        kit="nexxus.testing.worker_kit.WorkerConformance",
        shows="Runs the worker in a whole Nexxus: every kind of event, events that come again, "
        "batches that are cut off or larger than it takes, a restart, a service that is away."
        " A worker that wants other models overrides `application` and `write`; one with a "
        "service overrides `settings` and `unreachable_settings`.",
    ),
    NewKind(
        name="logger",
        title="logger",
        hook="nexxus_loggers",
        interface_module="logger",
        interface="Logger",
        module="logger",
        suffix="Logger",
        arguments="settings, data_dir=context.data_dir, node=context.node",
        summary="JSON lines in a file",
        selection=_toml('[logger]\nadapter = "<<name>>"'),
        kit="nexxus.testing.logger_kit.LoggerConformance",
        shows="Order, levels, fields of any type, errors without secrets, bursts from several "
        "threads, what comes before `open`, and closing.",
    ),
    NewKind(
        name="config-provider",
        title="configuration provider",
        hook="nexxus_config_providers",
        interface_module="config_provider",
        interface="ConfigProvider",
        module="config_provider",
        suffix="Provider",
        arguments="settings",
        summary="secrets from a JSON file",
        selection=_toml(
            '[admin]\nkey = "${<<name>>:admin-key}"\n\n'
            '[plugins.<<name>>]\npath = "/etc/nexxus/secrets.json"',
            "Refer to it in `nexxus.toml`:",
        ),
        kit="nexxus.testing.config_provider_kit.ConfigProviderConformance",
        shows="Loading, resolving, unknown references, a source that cannot be reached, and that a "
        "secret is never shown. A provider that loads settings overrides `settings`; one that"
        " watches sets `watches` and overrides `change`.",
    ),
    NewKind(
        name="auth-strategy",
        title="sign-in strategy",
        hook="nexxus_auth_strategies",
        interface_module="auth_strategy",
        interface="AuthStrategy",
        module="auth_strategy",
        suffix="Strategy",
        arguments="",
        summary="tickets that another system has signed",
        selection="An application names it, under `auth`:\n\n"
        '```json\n{"strategies": {"<<name>>": {"secret": "…"}}}\n```',
        kit="nexxus.testing.auth_strategy_kit",
        shows="`CredentialsStrategyConformance` for strategies of credentials: the same person each"
        " time, refusals that tell nothing, names for counting attempts, settings that are "
        "checked. `RedirectStrategyConformance` for strategies of redirects: instead of "
        "`right` and `wrong` it takes `sign_in(url)` and `decline(url)`, which play the "
        "browser at the provider and return the query of the callback.",
    ),
)

KINDS: Final[Mapping[str, NewKind]] = MappingProxyType({kind.name: kind for kind in _KINDS})
"""The kinds by the name that ``--kind`` takes."""
