"""The plugins among the examples pass the conformance kits of their kinds, as their readmes say."""

from __future__ import annotations

import os

from plugin_packages import PLUGINS, run_module, run_tests_of


def test_their_own_tests_pass() -> None:
    run_tests_of(*PLUGINS)


def test_they_are_typed() -> None:
    modules = [str(path) for folder in PLUGINS for path in folder.glob("nexxus_*")]
    run_module("mypy", "--strict", "--cache-dir", os.devnull, *modules, cwd=PLUGINS[0])
