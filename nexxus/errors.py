"""All errors that Nexxus raises deliberately, in one tree.

::

    NexxusError
    ├── ConfigurationError                 the configuration is invalid (exit 2)
    ├── StartupError                       the environment prevents a start (exit 1)
    ├── NotStarted                         a part was used before it was started
    ├── MessagesLost                       a node's mailbox expired (internal)
    └── WireError                          has a name and a status; may be shown to a client
        ├── InvalidParameters              400
        ├── InvalidAuthMethod              400
        ├── NoAuthPresent                  401
        ├── UserTokenExpired               401
        │   └── SessionHasEnded            refreshing will not help
        ├── UserAuthenticationFailed       401
        │   └── DeviceNotFound             the token's device does not exist any more
        ├── InvalidRefreshToken            401
        ├── AccessDenied                   403
        ├── ApplicationNotFound            404
        ├── ModelNotFound                  404
        ├── NotFound                       404
        ├── MethodNotAllowed               405
        ├── UserAlreadyExists              409
        ├── DeviceNotConnected             409
        ├── VersionConflict                409
        ├── ApplicationAlreadyExists       409
        ├── PayloadTooLarge                413
        ├── UnsupportedMediaType           415
        ├── TooManyRequests                429
        ├── ServerError                    500
        └── ServiceUnavailable             503

A `WireError` is sent as ``{"error": <wire name>, "message": …, "details"?: …}``. `name` and
`status` are fixed per class; the message says what is wrong and how to fix it. A package may
refine one of these for its own use; other packages see the class that is listed here.
"""

from __future__ import annotations

from typing import Any, ClassVar


class NexxusError(Exception):
    """The base class of all errors."""


class ConfigurationError(NexxusError):
    """The configuration is invalid; the message names the source, the key and the fix."""


class StartupError(NexxusError):
    """The environment prevents a start: a port in use, an unusable folder, a service down."""


class NotStarted(NexxusError):
    """A part was used before it was started; the message says how to start it."""


class MessagesLost(NexxusError):
    """A node's mailbox expired, or was deleted, while its reader was disconnected."""


class WireError(NexxusError):
    """An error that may be shown to a client.

    `message` is for people, `details` for programs: which field, which rule. `operation_id` is the
    id of the accepted write that this error rejects, if any.
    """

    name: ClassVar[str]
    status: ClassVar[int]
    operation_id: str | None = None

    def __init__(self, message: str, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def to_wire(self) -> dict[str, Any]:
        """Return the response body, without the request's id."""
        body: dict[str, Any] = {"error": self.name, "message": self.message}
        if self.details is not None:
            body["details"] = self.details
        return body


class InvalidParameters(WireError):
    name, status = "InvalidParametersException", 400


class InvalidAuthMethod(WireError):
    name, status = "InvalidAuthMethodException", 400


class NoAuthPresent(WireError):
    name, status = "NoAuthPresentException", 401


class UserTokenExpired(WireError):
    name, status = "UserTokenExpiredException", 401


class UserAuthenticationFailed(WireError):
    name, status = "UserAuthenticationFailedException", 401


class SessionHasEnded(UserTokenExpired):
    """The token is genuine, but its session has ended: refreshing will not help."""


class DeviceNotFound(UserAuthenticationFailed):
    """The token is genuine, but names a device that does not exist any more."""


class InvalidRefreshToken(WireError):
    name, status = "InvalidRefreshTokenException", 401


class AccessDenied(WireError):
    name, status = "AccessDeniedException", 403


class ApplicationNotFound(WireError):
    name, status = "ApplicationNotFoundException", 404


class ModelNotFound(WireError):
    name, status = "ModelNotFoundException", 404


class NotFound(WireError):
    name, status = "NotFoundException", 404


class MethodNotAllowed(WireError):
    """Has the methods that the route supports, for the ``Allow`` header."""

    name, status = "MethodNotAllowedException", 405

    def __init__(self, message: str, *, allow: tuple[str, ...]) -> None:
        super().__init__(message)
        self.allow = allow


class UserAlreadyExists(WireError):
    name, status = "UserAlreadyExistsException", 409


class DeviceNotConnected(WireError):
    name, status = "DeviceNotConnectedException", 409


class VersionConflict(WireError):
    name, status = "VersionConflictException", 409


class ApplicationAlreadyExists(WireError):
    name, status = "ApplicationAlreadyExistsException", 409


class PayloadTooLarge(WireError):
    name, status = "PayloadTooLargeException", 413


class UnsupportedMediaType(WireError):
    name, status = "UnsupportedMediaTypeException", 415


class TooManyRequests(WireError):
    """Has the seconds after which the client may retry, for the ``Retry-After`` header."""

    name, status = "TooManyRequestsException", 429

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ServerError(WireError):
    name, status = "ServerErrorException", 500


class ServiceUnavailable(WireError):
    name, status = "ServiceUnavailableException", 503


def _leaves(kind: type[WireError]) -> dict[str, type[WireError]]:
    return {leaf.name: leaf for leaf in kind.__subclasses__()}


BY_NAME: dict[str, type[WireError]] = _leaves(WireError)
"""Wire name → class, to raise an error that another process reported."""


def from_wire(name: str, message: str, details: dict[str, Any] | None = None) -> WireError:
    """Recreate the error from `WireError.to_wire`; an unknown name becomes a `ServerError`."""
    kind = BY_NAME.get(name, ServerError)
    if kind is MethodNotAllowed:
        return MethodNotAllowed(message, allow=())
    if kind is TooManyRequests:
        return TooManyRequests(message, retry_after=1)
    return kind(message, details)
