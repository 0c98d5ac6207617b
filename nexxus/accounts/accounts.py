"""Accounts: everything that a process can do with users, devices and sessions."""

from __future__ import annotations

from dataclasses import dataclass

from nexxus.accounts.credentials_sign_in import CredentialsSignIn
from nexxus.accounts.devices import Devices
from nexxus.accounts.passwords import Passwords
from nexxus.accounts.redirect_sign_in import RedirectSignIn
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.sign_in import SignIn
from nexxus.accounts.strategies import Strategies
from nexxus.accounts.tickets import Tickets
from nexxus.accounts.users import Users


@dataclass(frozen=True, kw_only=True, slots=True)
class Accounts:
    """The parts, put together by `nexxus.server.composition`."""

    users: Users
    sessions: Sessions
    tickets: Tickets
    devices: Devices
    passwords: Passwords
    strategies: Strategies
    sign_in: SignIn
    credentials: CredentialsSignIn
    redirects: RedirectSignIn
