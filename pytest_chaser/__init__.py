"""End-to-end browser tests on Chaser's remote browsers, as a pytest plugin and a client library.

Every pytest run on a machine imports this package through the plugin's entry point, so nothing is imported here: a
public name is loaded from its module when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._client import AsyncChaserClient, ChaserClient, RetryPolicy
    from ._exceptions import (
        ApiConnectionError,
        ApiError,
        ApiProtocolError,
        ApiStatusError,
        ApiTimeout,
        AuthenticationError,
        BrokerError,
        CdpConnectionError,
        CdpError,
        CdpTimeout,
        ChaserError,
        ChaserWarning,
        ConfigurationError,
        EvidenceWarning,
        LeakedSessionWarning,
        LedgerError,
        ProvisioningFailed,
        ProvisioningTimeout,
        QuotaExceeded,
        SessionError,
        SessionExpired,
        SessionLost,
        SessionNotFound,
        SessionNotOpen,
    )
    from ._models import PreviewToken, Session, SessionPage, SessionStatus
    from ._pages import (
        AsyncElementHandle,
        AsyncFrame,
        AsyncLocator,
        AsyncPage,
        AsyncRequest,
        AsyncResponse,
        SyncElementHandle,
        SyncFrame,
        SyncLocator,
        SyncPage,
        SyncRequest,
        SyncResponse,
        expect,
    )

__version__ = "0.1.0"

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiProtocolError",
    "ApiStatusError",
    "ApiTimeout",
    "AsyncChaserClient",
    "AsyncElementHandle",
    "AsyncFrame",
    "AsyncLocator",
    "AsyncPage",
    "AsyncRequest",
    "AsyncResponse",
    "AuthenticationError",
    "BrokerError",
    "CdpConnectionError",
    "CdpError",
    "CdpTimeout",
    "ChaserClient",
    "ChaserError",
    "ChaserWarning",
    "ConfigurationError",
    "EvidenceWarning",
    "LeakedSessionWarning",
    "LedgerError",
    "PreviewToken",
    "ProvisioningFailed",
    "ProvisioningTimeout",
    "QuotaExceeded",
    "RetryPolicy",
    "Session",
    "SessionError",
    "SessionExpired",
    "SessionLost",
    "SessionNotFound",
    "SessionNotOpen",
    "SessionPage",
    "SessionStatus",
    "SyncElementHandle",
    "SyncFrame",
    "SyncLocator",
    "SyncPage",
    "SyncRequest",
    "SyncResponse",
    "__version__",
    "expect",
]

# Where a name lives, and what it is called there. What is not listed lives in `_exceptions`.
_HOMES = {
    "AsyncChaserClient": ("_client", "AsyncChaserClient"),
    "AsyncElementHandle": ("_pages", "AsyncElementHandle"),
    "AsyncFrame": ("_pages", "AsyncFrame"),
    "AsyncLocator": ("_pages", "AsyncLocator"),
    "AsyncPage": ("_pages", "AsyncPage"),
    "AsyncRequest": ("_pages", "AsyncRequest"),
    "AsyncResponse": ("_pages", "AsyncResponse"),
    "ChaserClient": ("_client", "ChaserClient"),
    "PreviewToken": ("_models", "PreviewToken"),
    "RetryPolicy": ("_client", "RetryPolicy"),
    "Session": ("_models", "Session"),
    "SessionPage": ("_models", "SessionPage"),
    "SessionStatus": ("_models", "SessionStatus"),
    "SyncElementHandle": ("_pages", "SyncElementHandle"),
    "SyncFrame": ("_pages", "SyncFrame"),
    "SyncLocator": ("_pages", "SyncLocator"),
    "SyncPage": ("_pages", "SyncPage"),
    "SyncRequest": ("_pages", "SyncRequest"),
    "SyncResponse": ("_pages", "SyncResponse"),
    "expect": ("_pages", "expect"),
}


def __getattr__(name: str) -> object:
    """Load a public name from its module, and keep it for the next time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES.get(name, ("_exceptions", name))
    value = getattr(importlib.import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
