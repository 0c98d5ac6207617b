"""Says loudly what a test run could not test, and refuses to pass over it where ``CI`` is true.

A test that needs what this machine has not (a browser, Node, a service) skips with the reason.
On a developer's machine that is fine and is told at the end of the run; ``NOT_TESTED_FILE`` names
a file that gets the same lines, for whoever prints something after pytest.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest


def in_ci() -> bool:
    """Whether everything must be tested."""
    return os.environ.get("CI", "").lower() in ("1", "true")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Fail a run that was to test everything and has not."""
    if in_ci() and exitstatus == pytest.ExitCode.OK and _reasons(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each reason, last of all."""
    reasons = _reasons(terminalreporter.config)
    lines = [f"NOT TESTED ({count} tests): {reason}" for reason, count in reasons.most_common()]
    for line in lines:
        terminalreporter.write_line(line, red=in_ci(), yellow=not in_ci(), bold=True)
    if in_ci() and lines:
        terminalreporter.write_line("CI is true, so that is an error.", red=True, bold=True)
    file = os.environ.get("NOT_TESTED_FILE")
    if file:
        Path(file).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _does_not_apply(report: pytest.TestReport) -> bool:
    """Return whether a conformance kit has skipped what the adapter does not claim to do."""
    where = report.longrepr[0] if isinstance(report.longrepr, tuple) else ""
    return "nexxus/testing/" in Path(where).as_posix()


def _reasons(config: pytest.Config) -> Counter[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter is not None else []
    texts = (
        r.longrepr[2] if isinstance(r.longrepr, tuple) else str(r.longrepr)
        for r in reports
        if not _does_not_apply(r)
    )
    return Counter(" ".join(text.removeprefix("Skipped: ").split()) for text in texts)
