"""The accounts of one node, on a database and a registry of this process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
from clock import Clock
from memory_database import MemoryDatabase

from nexxus.accounts.accounts import Accounts
from nexxus.accounts.credentials_sign_in import CredentialsSignIn
from nexxus.accounts.devices import Devices
from nexxus.accounts.passwords import Passwords
from nexxus.accounts.provider_accounts import ProviderAccounts
from nexxus.accounts.redirect_sign_in import RedirectSignIn
from nexxus.accounts.sessions import Sessions
from nexxus.accounts.sign_in import DeviceHint, NewSession, SignIn
from nexxus.accounts.sign_in_attempts import SignInAttempts
from nexxus.accounts.strategies import CredentialsEntry, RedirectEntry, Strategies
from nexxus.accounts.tickets import Tickets
from nexxus.accounts.user_records import User, UserRecords
from nexxus.accounts.users import Users
from nexxus.adapters.in_process.registry import InProcessRegistry
from nexxus.adapters.in_process.settings import InProcessRegistrySettings
from nexxus.adapters.local.auth_strategy import LocalStrategy
from nexxus.domain.application import Application, parse_application
from nexxus.domain.channels import Descriptor, Route, Subscription
from nexxus.domain.identity import Identity
from nexxus.domain.objects import new_id
from nexxus.errors import ApplicationNotFound, UserAuthenticationFailed, UserTokenExpired
from nexxus.interfaces.auth_strategy import (
    Account,
    Challenge,
    CredentialsStrategy,
    OwnAccounts,
    RedirectSettings,
    RedirectStrategy,
    Subject,
)
from nexxus.interfaces.registry import Presence
from nexxus.testing.journal import Journal

PASSWORD = "correct horse"
CHANNEL = "nxx:subscription:app:task"
CALLBACK = "https://api.example/auth/provider/callback"
PAGE = "https://app.example/signed-in?from=provider"
APPLICATION: dict[str, Any] = {
    "id": "app",
    "signingSecret": "a-signing-secret-of-a-good-length-0123",
    "auth": {
        "strategies": {
            "local": {},
            "provider": {"callbackURL": CALLBACK, "redirectURLs": [PAGE]},
            "second": {"strategy": "provider", "callbackURL": "https://api.example/second"},
            "directory": {"realm": "staff"},
        },
        "userTypes": {"default": {}, "guest": {}, "staff": {"private": True}},
        "userDetailSchema": {"default": {"firstName": {"type": "string"}, "age": {"type": "int"}}},
    },
}


class Provider(RedirectStrategy[RedirectSettings]):
    """Vouches for whomever a test names as the `code`; ``none`` is nobody."""

    settings: ClassVar[type[msgspec.Struct]] = RedirectSettings

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.begun: list[Challenge] = []
        self.completed: list[Challenge] = []

    async def begin(self, settings: RedirectSettings, *, challenge: Challenge) -> str:
        self.begun.append(challenge)
        return f"https://provider.example/authorize?state={challenge.state}"

    async def complete(
        self, settings: RedirectSettings, *, challenge: Challenge, parameters: Mapping[str, str]
    ) -> Account:
        self.completed.append(challenge)
        account = self.accounts.get(parameters.get("code", ""))
        if account is None:
            raise UserAuthenticationFailed("the provider vouches for nobody")
        return account


class DirectorySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    realm: str


class DirectoryCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    uid: str
    pin: str


class Directory(CredentialsStrategy[DirectorySettings, DirectoryCredentials]):
    """Vouches for whoever has a pin in the directory; it proves no address."""

    settings: ClassVar[type[msgspec.Struct]] = DirectorySettings
    credentials: ClassVar[type[msgspec.Struct]] = DirectoryCredentials

    def __init__(self) -> None:
        self.pins: dict[str, str] = {}

    def name_of(self, credentials: DirectoryCredentials) -> str:
        return credentials.uid

    async def verify(
        self,
        settings: DirectorySettings,
        credentials: DirectoryCredentials,
        *,
        accounts: OwnAccounts,
    ) -> Account:
        if self.pins.get(credentials.uid) != credentials.pin:
            raise UserAuthenticationFailed("the uid or the pin is wrong")
        return Account(Subject(f"directory:{settings.realm}", credentials.uid))


class KnownApplications:
    """Stands in for the directory of applications."""

    def __init__(self, *applications: Application) -> None:
        self._known = {application.id: application for application in applications}

    def get(self, app_id: str) -> Application:
        if app_id not in self._known:
            raise ApplicationNotFound(f"there is no application {app_id!r}")
        return self._known[app_id]

    def forget(self, app_id: str) -> None:
        """As if it had been deleted."""
        del self._known[app_id]


class NotifiedPeers:
    """Stands in for the other nodes: keeps what they were sent, or raises its `failure`."""

    def __init__(self) -> None:
        self.messages: list[Any] = []
        self.mailboxes: list[Any] = []
        self.failure: Exception | None = None

    async def send(self, mailbox: Any, message: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.mailboxes.append(mailbox)
        self.messages.append(message)


class AccountsWorld:
    """Everything that accounts are made of, with a clock that a test moves."""

    def __init__(self, folder: Path, **auth: Any) -> None:
        self.clock = Clock()
        self.database = MemoryDatabase()
        self.registry = InProcessRegistry(
            InProcessRegistrySettings(), data_dir=folder, logger=Journal(), clock=self.clock
        )
        self.app = parse_application({**APPLICATION, "auth": {**APPLICATION["auth"], **auth}})
        self.other_app = parse_application({**APPLICATION, "id": "other"})
        self.peers = NotifiedPeers()
        self.provider, self.directory = Provider(), Directory()
        self.passwords = Passwords(time_cost=1, memory_cost=8, parallelism=1)
        self.records = UserRecords(self.database, attempts=3, clock=self.clock)
        self.applications = KnownApplications(self.app, self.other_app)
        applications: Any = self.applications
        peers: Any = self.peers
        sessions = Sessions(
            applications=applications,
            users=self.records,
            registry=self.registry,
            peers=peers,
            refresh_grace=10,
            clock=self.clock,
        )
        devices = Devices(self.registry, peers, {}, clock=self.clock)
        strategies = Strategies(
            {"local": LocalStrategy(), "provider": self.provider, "directory": self.directory}
        )
        sign_in = self._sign_in = SignIn(records=self.records, sessions=sessions, devices=devices)
        self.provider_accounts = ProviderAccounts(self.records, sessions)
        self.accounts = Accounts(
            users=Users(
                records=self.records,
                sessions=sessions,
                sign_in=sign_in,
                devices=self.registry.devices,
                passwords=self.passwords,
            ),
            sessions=sessions,
            tickets=Tickets(applications=applications, registry=self.registry, clock=self.clock),
            devices=devices,
            passwords=self.passwords,
            strategies=strategies,
            sign_in=sign_in,
            credentials=CredentialsSignIn(
                records=self.records,
                passwords=self.passwords,
                attempts=SignInAttempts(self.registry.counters, at_most=3),
                accounts=self.provider_accounts,
                sign_in=sign_in,
            ),
            redirects=RedirectSignIn(
                applications=applications,
                strategies=strategies,
                records=self.records,
                accounts=self.provider_accounts,
                sign_in=sign_in,
                claims=self.registry.claims,
                clock=self.clock,
            ),
        )

    async def open(self) -> None:
        await self.registry.open()

    async def close(self) -> None:
        await self.registry.close()
        self.passwords.close()

    # What tests do all the time

    async def register(self, username: str, password: str = PASSWORD, **more: Any) -> NewSession:
        """Register with a password."""
        body = {"username": username, "password": password, **more}
        return await self.accounts.users.register(self.app, body)

    async def sign_in(self, username: str, password: str = PASSWORD, **more: Any) -> NewSession:
        """Sign in with a password."""
        return await self.with_credentials(
            "local", {"username": username, "password": password, **more}
        )

    async def with_credentials(self, name: str, body: dict[str, Any]) -> NewSession:
        """Sign in at a strategy of credentials."""
        entry = self.accounts.strategies.entry(self.app, name)
        assert isinstance(entry, CredentialsEntry)
        return await self.accounts.credentials.sign_in(self.app, entry, body)

    async def begin(self, user: User, hint: DeviceHint | None = None) -> NewSession:
        """Begin a session of a user who was recognised somehow."""
        return await self._sign_in.begin(self.app, user, hint)

    def redirect_entry(self, name: str = "provider") -> RedirectEntry:
        """The application's entry of a strategy of redirects."""
        entry = self.accounts.strategies.entry(self.app, name)
        assert isinstance(entry, RedirectEntry)
        return entry

    async def connect(self, session: NewSession) -> Presence:
        """Connect the device of a session, and have it follow a channel."""
        device_id = session.device.id
        presence = Presence(self.app.id, device_id, "n1", "websockets", new_id())
        await self.registry.presence.connect(presence)
        descriptor = Descriptor("task")
        subscription = Subscription(
            self.app.id, device_id, CHANNEL, descriptor, Route(CHANNEL, self.app.id, descriptor)
        )
        await self.registry.subscriptions.put(subscription, "websockets", "n1")
        return presence

    async def is_live(self, session: NewSession) -> bool:
        """Whether the access token of a session is still good."""
        try:
            await self.identify(session)
        except UserTokenExpired:
            return False
        return True

    async def identify(self, signed_in: NewSession) -> Identity:
        """Who the access token of a session stands for."""
        return await self.accounts.sessions.verify(self.app.id, signed_in.tokens.token)
