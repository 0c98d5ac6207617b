"""Roles that cannot work with their adapters are refused before anything starts."""

from __future__ import annotations

from typing import Any

import pytest

from nexxus.config import ROLES, Config
from nexxus.errors import ConfigurationError
from nexxus.hookspecs import Adapter, hookimpl
from nexxus.server import Nexxus

WITHOUT_WORKERS = [role for role in ROLES if role != "workers"]


class Plugin:
    """Adapters that processes can share, others that they cannot, and a worker."""

    @hookimpl
    def nexxus_databases(self) -> list[Adapter]:
        return [
            Adapter("near", None, lambda *_: None, interface=1, scope="process"),
            Adapter("far", None, lambda *_: None, interface=1, scope="shared"),
        ]

    @hookimpl
    def nexxus_brokers(self) -> list[Adapter]:
        return [Adapter("far", None, lambda *_: None, interface=1, scope="shared")]

    @hookimpl
    def nexxus_registries(self) -> list[Adapter]:
        return [Adapter("far", None, lambda *_: None, interface=1, scope="shared")]

    @hookimpl
    def nexxus_workers(self) -> list[Adapter]:
        return [Adapter("mail", None, lambda *_: None, interface=1)]


def nexxus(roles: list[str], **sections: Any) -> Nexxus:
    server = {"roles": roles, **sections.pop("server", {})}
    return Nexxus(Config.from_mapping({"server": server, **sections}, plugins=[Plugin()]))


FAR: dict[str, Any] = {"broker": {"adapter": "far"}, "registry": {"adapter": "far"}}


def test_a_worker_that_no_process_runs_is_refused_with_its_name() -> None:
    with pytest.raises(ConfigurationError, match=r"server\.roles leaves out workers.*mail"):
        nexxus(WITHOUT_WORKERS, server={"workers": ["mail"]})


def test_workers_may_run_elsewhere_with_a_shared_broker() -> None:
    far = {"database": {"adapter": "far"}, **FAR}
    nexxus(WITHOUT_WORKERS, server={"workers": ["mail"]}, **far)
    nexxus(["workers"], server={"workers": ["mail"]}, **far)


def test_without_workers_their_role_may_be_left_out() -> None:
    nexxus(WITHOUT_WORKERS)


def test_a_worker_node_needs_a_shared_database() -> None:
    with pytest.raises(ConfigurationError, match=r"database\.adapter = 'near'"):
        nexxus(["workers"], database={"adapter": "near"}, **FAR)


@pytest.mark.parametrize("missing", WITHOUT_WORKERS)
def test_with_process_local_adapters_no_other_role_may_be_left_out(missing: str) -> None:
    roles = [role for role in ROLES if role != missing]
    with pytest.raises(ConfigurationError, match=rf"leaves out {missing}.*broker\.adapter"):
        nexxus(roles)
    with pytest.raises(ConfigurationError, match=rf"leaves out {missing}.*sqlite"):
        nexxus(roles, **FAR)
    with pytest.raises(
        ConfigurationError, match=rf"leaves out {missing}.*database\.adapter = 'near'"
    ):
        nexxus(roles, database={"adapter": "near"}, **FAR)
