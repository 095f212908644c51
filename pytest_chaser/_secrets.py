"""What must never be shown, and how it is shown instead."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, urlsplit

MASK = "***"

_WEBSOCKET_URL = re.compile(r"wss?://[^\s\"'<>\\]+", re.IGNORECASE)
# The length leaves prose alone, such as "the bearer token is missing".
_BEARER = re.compile(r"(?i)\b(bearer\s+|token=)[^\s\"'<>&]{8,}")


class Secret:
    """A value that `repr`, `str`, a debugger's list of locals and a traceback show masked only."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value itself; call it where it is sent, and keep it in no variable that lives on."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({mask_key(self._value)!r})"

    def __str__(self) -> str:
        return mask_key(self._value)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is not pickled: it would be readable where it lands")


class SecretUrl(str):
    """A URL that is text wherever it is used, and masked where pytest shows a test's arguments and locals."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(mask_url(str(self)))


def mask_key(key: str | None) -> str:
    """Return the key as it may be shown: its last four characters at most, and none of a short key."""
    if not key:
        return "(none)"
    return f"{MASK}{key[-4:]}" if len(key) >= 12 else MASK


def mask_url(url: str | None) -> str:
    """Return scheme and host of a secret URL (`cdp_url`, preview URL); path and query are the secret."""
    if not url:
        return "(none)"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return MASK
    return f"{parts.scheme}://{host}{port}/{MASK}"


def redact(text: str, *secrets: str) -> str:
    """Return `text` without the secrets, without bearer credentials, and with WebSocket URLs reduced to their host.

    A secret is also found in the forms it takes inside a URL and inside JSON.
    """
    for secret in secrets:
        for form in {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}:
            if form:
                text = text.replace(form, MASK)
    text = _WEBSOCKET_URL.sub(lambda match: mask_url(match.group()), text)
    return _BEARER.sub(rf"\1{MASK}", text)
