"""End-to-end browser tests on Chaser's remote browsers, as a pytest plugin and a client library.

Every pytest run on a machine imports this package through the plugin's entry point, so nothing is imported here: a
public name is loaded from its module when it is first asked for.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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

__version__ = "0.1.0"

__all__ = [
    "ApiConnectionError",
    "ApiError",
    "ApiProtocolError",
    "ApiStatusError",
    "ApiTimeout",
    "AuthenticationError",
    "BrokerError",
    "CdpConnectionError",
    "CdpError",
    "CdpTimeout",
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
    "Session",
    "SessionError",
    "SessionExpired",
    "SessionLost",
    "SessionNotFound",
    "SessionNotOpen",
    "SessionPage",
    "SessionStatus",
    "__version__",
]

# Errors, and all that is not listed here, live in `_exceptions`.
_HOMES = {
    "PreviewToken": "_models",
    "Session": "_models",
    "SessionPage": "_models",
    "SessionStatus": "_models",
}


def __getattr__(name: str) -> object:
    """Load a public name from its module, and keep it for the next time."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES.get(name, '_exceptions')}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
