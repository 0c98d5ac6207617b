"""Signing in while an administrator is at work."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

ADMIN = {"Authorization": "Bearer an-admin-key-for-tests-only"}
ANN = {"username": "ann", "password": "correct horse"}


@pytest.mark.parametrize("change", ["disable", "delete"])
async def test_a_user_who_is_shut_out_while_signing_in_gets_no_session(
    client: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    client.headers["nxx-app-id"] = "signed"
    session = (await client.post("/user/register", json=ANN)).json()
    path = f"/admin/applications/signed/users/{session['user']['id']}"

    async def verify(*_: Any) -> bool:
        if change == "disable":
            await client.put(path, json={"disabled": True}, headers=ADMIN)
        else:
            await client.delete(path, headers=ADMIN)
        return True

    monkeypatch.setattr("nexxus.accounts.passwords.Passwords.verify", verify)
    response = await client.post("/auth/local", json=ANN)

    assert response.status_code == 401
    assert response.json()["error"] == "UserAuthenticationFailedException"
