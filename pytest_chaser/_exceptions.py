"""Every error and warning of pytest-chaser.

ChaserError
├── ConfigurationError          an option, variable or argument has an unusable value
├── ApiError                    the Sessions API could not be used as asked
│   ├── ApiConnectionError      no connection, or it broke
│   ├── ApiTimeout              no answer in time
│   ├── ApiProtocolError        an answer that is not what the API documents
│   └── ApiStatusError          an error status
│       ├── AuthenticationError     401, 403
│       ├── QuotaExceeded           429
│       ├── SessionNotFound         404
│       └── SessionNotOpen          409
├── SessionError                a session did not do what sessions do
│   ├── ProvisioningTimeout     not ready in time
│   ├── ProvisioningFailed      ended in `error` or `closed` before it was ready
│   ├── SessionExpired          its lifetime is over
│   └── SessionLost             the connection to its browser dropped
├── CdpError                    the browser could not be used as asked
│   ├── CdpConnectionError      no CDP connection could be opened
│   └── CdpTimeout              a call had no answer in time
├── LedgerError                 the record of sessions cannot be read or written
└── BrokerError                 the run's broker cannot be started or reached

ChaserWarning
├── EvidenceWarning             a piece of evidence could not be captured
└── LeakedSessionWarning        a session may still be open

Every class takes its message first and its data as keyword arguments with defaults, so that an error survives
pickling between processes: `Exception.__reduce__` carries the message and the instance's `__dict__`.
"""

from __future__ import annotations


class ChaserError(Exception):
    """Base class of every error that pytest-chaser raises on purpose."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class ConfigurationError(ChaserError):
    """An option, a variable or an argument has a value that cannot be used; nothing was sent."""


class ApiError(ChaserError):
    """A request to the Sessions API failed.

    `method` and `path` name the request, `host` says where it was sent, `reason` what came of it, and `advice` what to
    do next: the message has all of them. `sent` is False only if it is certain that no byte of the request went out.
    """

    def __init__(
        self, message: str = "", *, method: str | None = None, path: str | None = None, sent: bool = True
    ) -> None:
        super().__init__(message)
        self.method = method
        self.path = path
        self.sent = sent
        self.host: str | None = None
        self.reason: str | None = None
        self.advice: str | None = None


class ApiConnectionError(ApiError):
    """The API could not be reached, or the connection broke before the answer was complete."""


class ApiTimeout(ApiError):
    """The API did not answer in time."""


class ApiProtocolError(ApiError):
    """The API answered something else than it documents: bad JSON, a missing field, not a PNG.

    `session_id` is the id of the session in the answer if at least that could be read: one that was created and
    has to be deleted, whatever else is wrong with it.
    """

    def __init__(
        self,
        message: str = "",
        *,
        session_id: str | None = None,
        method: str | None = None,
        path: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message, method=method, path=path, sent=sent)
        self.session_id = session_id


class ApiStatusError(ApiError):
    """The API answered with an error status.

    `status` is the HTTP status, `code` the API's own error code if the body had one, `retry_after` the seconds
    that the `Retry-After` header asked for.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        code: str | None = None,
        retry_after: float | None = None,
        method: str | None = None,
        path: str | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message, method=method, path=path, sent=sent)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class AuthenticationError(ApiStatusError):
    """401 or 403: the key is missing, wrong or not allowed to do this."""


class QuotaExceeded(ApiStatusError):
    """429: too many requests, or the account's limit of open sessions is reached."""


class SessionNotFound(ApiStatusError):
    """404: the session does not exist or belongs to another workspace."""


class SessionNotOpen(ApiStatusError):
    """409: the session is not `ready`, or has ended already."""


class SessionError(ChaserError):
    """A session did not become or stay usable. `session_id` names it, `status` is the last one seen."""

    def __init__(
        self,
        message: str = "",
        *,
        session_id: str | None = None,
        status: str | None = None,
        waited: float | None = None,
    ) -> None:
        super().__init__(message)
        self.session_id = session_id
        self.status = status
        self.waited = waited


class ProvisioningTimeout(SessionError):
    """The session was not ready in time; `waited` is how long it was waited for, in seconds."""


class ProvisioningFailed(SessionError):
    """The session went to `error` or `closed` before it was ready."""


class SessionExpired(SessionError):
    """The session's lifetime is over."""


class SessionLost(SessionError):
    """The connection to the session's browser dropped; the message says why if the API knew."""


class CdpError(ChaserError):
    """The browser could not be used as asked."""


class CdpConnectionError(CdpError):
    """No CDP connection could be opened. `host` is where, `status` the HTTP status of a refused handshake."""

    def __init__(self, message: str = "", *, host: str | None = None, status: int | None = None) -> None:
        super().__init__(message)
        self.host = host
        self.status = status


class CdpTimeout(CdpError, TimeoutError):
    """A call to the browser had no answer in time. `call` names it, `timeout` is the limit in seconds."""

    def __init__(self, message: str = "", *, call: str | None = None, timeout: float | None = None) -> None:
        super().__init__(message)
        self.call = call
        self.timeout = timeout


class LedgerError(ChaserError):
    """The record of created sessions cannot be read or written. `path` is the file or folder."""

    def __init__(self, message: str = "", *, path: str | None = None) -> None:
        super().__init__(message)
        self.path = path


class BrokerError(ChaserError):
    """The run's broker cannot be started or reached."""


class ChaserWarning(UserWarning):
    """Base class of every warning that pytest-chaser issues."""


class EvidenceWarning(ChaserWarning):
    """A piece of evidence about a failure could not be captured; the test's own error stands."""


class LeakedSessionWarning(ChaserWarning):
    """A session may still be open; the message says which, until when, and how to end it."""
