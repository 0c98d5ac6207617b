"""A real OpenID Connect provider as a process on 127.0.0.1 (see ``oidc/provider.js``)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import NoReturn

import httpx2
import pytest
from ports import free_port
from services.local_server import locked

FOLDER = Path(__file__).parent / "oidc"
CLIENT_ID, CLIENT_SECRET = "nexxus-tests", "a-client-secret-for-tests"


class OpenIdProvider:
    """Signs in whoever the test names; started with the addresses that it may answer to."""

    def __init__(self, *redirect_uris: str) -> None:
        self.issuer = f"http://127.0.0.1:{free_port()}"
        command = ["node", "--no-deprecation", "provider.js", self.issuer.rpartition(":")[2]]
        self._process = subprocess.Popen(
            [*command, CLIENT_ID, CLIENT_SECRET, *redirect_uris],
            cwd=FOLDER,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, "the provider has ended"
            assert time.monotonic() < deadline, "the provider does not answer"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            url = f"{self.issuer}/.well-known/openid-configuration"
            return httpx2.get(url, trust_env=False).status_code == 200
        except httpx2.TransportError:
            return False

    async def sign_in(self, location: str, account: str) -> str:
        """Follow a redirect to this provider as a browser does; the callback's address.

        An empty `account` refuses to sign in.
        """
        assert location.startswith(self.issuer), location
        async with httpx2.AsyncClient(trust_env=False) as browser:
            response = await browser.get(location)
            while response.is_redirect:
                target = str(response.url.join(response.headers["location"]))
                if not target.startswith(self.issuer):
                    return target
                response = await browser.get(target)
                if "/interaction/" in str(response.url) and response.status_code == 200:
                    response = await browser.post(target, data={"login": account})
        raise AssertionError(f"no callback: {response.status_code} {response.text[:500]}")

    def close(self) -> None:
        """Stop the process."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def install() -> None:
    """Fetch the provider's library on first use; where that cannot be, skip loudly.

    Where ``CI`` is true it is an error: there everything must have been tested.
    """
    with locked(FOLDER / "node_modules" / ".install.lock"):
        _install()


def _install() -> None:
    if (FOLDER / "node_modules" / ".package-lock.json").is_file():  # npm writes it last
        return
    if shutil.which("node") is None or shutil.which("npm") is None:
        _go_without("node and npm are not installed")
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"]
    result = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        _go_without(f"npm install failed: {result.stderr[-500:]}")


def _go_without(reason: str) -> NoReturn:
    message = f"no OpenID Connect provider: {reason}"
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(message)
    pytest.skip(message)
