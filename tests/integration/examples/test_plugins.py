"""The plugins among the examples pass the conformance kits of their kinds, as their readmes say."""

from __future__ import annotations

from plugin_packages import PLUGINS, run_tests_of


def test_their_own_tests_pass() -> None:
    run_tests_of(*PLUGINS)
