"""The sample plugin of the examples, installed as anybody's package would be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["installed"]

SAMPLE = Path(__file__).resolve().parents[2] / "examples" / "sample-plugin"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the plugin, and nothing else."""
    target = tmp_path_factory.mktemp("site-packages")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(target)]
    subprocess.run([*command, *options, str(SAMPLE)], check=True, timeout=120)
    return target
