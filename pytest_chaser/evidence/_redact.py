"""Masks what no file may hold: applied to every text piece before it is cut, named or written."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

from .._secrets import MASK

SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "x-auth-token", "x-csrf-token"}
)
SECRET_NAMES = (
    "password", "passwd", "passphrase", "pwd", "secret", "client_secret", "token", "access_token", "refresh_token",
    "id_token", "auth_token", "api_key", "apikey", "api-key", "private_key", "chaser_key", "authorization", "otp",
)  # fmt: skip
"""Names whose values are masked wherever they stand: in a query, a form, JSON, a header or an assignment."""

_SOCKET_URL = re.compile(r"""(wss?:\\?/\\?/[^/\\\s"'<>?]+\\?/)(?:devtools|sessions)\\?/[^\s"'<>)\]}]*""")
_BEARER = re.compile(r"\b(Bearer|Basic)(\s+|%20|\+)[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE)
_HEADER = re.compile(
    r"""(?im)((?<![\w-])(?:set-cookie|cookie|authorization|proxy-authorization)["']?\s*:\s*["']?)([^"'\r\n<]+)"""
)
_JWT = re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*")
_INPUT = re.compile(r"<input\b[^>]*>", re.IGNORECASE)
_INPUT_IS_SECRET = re.compile(r"""\btype\s*=\s*["']?password\b""", re.IGNORECASE)
_INPUT_VALUE = re.compile(r"""(\bvalue\s*=\s*)("[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
_COOKIE_SCRIPT = re.compile(r"""(document\.cookie\s*=\s*)(["'`])(.*?)\2""")


class Redactor:
    """Replaces known secrets, and the values of names that are secret by convention, with `***`.

    `secrets` are exact texts, also found percent-encoded, HTML-escaped and JSON-escaped. `names` adds to the names
    whose values are secret. Nothing promises to find a secret that is neither known nor named.
    """

    def __init__(self, secrets: Iterable[str] = (), names: Iterable[str] = ()) -> None:
        self._names = frozenset(name.lower() for name in names)
        spellings = {spelling for secret in secrets if len(secret) >= 4 for spelling in _spellings(secret)}
        # The longest first: a secret that contains another must not leave its rest behind.
        self._secrets = sorted(spellings, key=len, reverse=True)
        words = "|".join(re.escape(name) for name in sorted({*SECRET_NAMES, *self._names}, key=len, reverse=True))
        self._named = re.compile(
            rf"""(?i)((?<![A-Za-z0-9])(?:[A-Za-z0-9]+[_-])?(?:{words})(?:["']|&quot;|\\")?\s*(?:=|:|%3D)\s*)"""
            r"""(\\?"(?:[^"\\]|\\.)*\\?"|'[^']*'|&quot;.*?&quot;|[^\s&"'<>,;}]+)"""
        )

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, MASK)
        text = _SOCKET_URL.sub(rf"\1{MASK}", text)
        text = _HEADER.sub(rf"\1{MASK}", text)
        text = _BEARER.sub(rf"\1\2{MASK}", text)
        text = _JWT.sub(MASK, text)
        text = _INPUT.sub(_mask_password_field, text)
        text = _COOKIE_SCRIPT.sub(rf"\1\2{MASK}\2", text)
        return self._named.sub(_mask_value, text)

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers for a file: secret ones by name, the others by content."""
        return {name: MASK if self.is_secret(name) else self.text(str(value)) for name, value in headers.items()}

    def is_secret(self, name: str) -> bool:
        """Tell whether the values of this header, field or parameter are secret."""
        lowered = name.lower()
        return lowered in SECRET_HEADERS or lowered in SECRET_NAMES or lowered in self._names


def _spellings(secret: str) -> set[str]:
    return {
        secret,
        html.escape(secret),
        html.escape(secret, quote=False),
        quote(secret, safe=""),
        quote(secret),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }


def _mask_value(match: re.Match[str]) -> str:
    value = match.group(2)
    for mark in ('\\"', '"', "'", "&quot;"):
        if value.startswith(mark) and value.endswith(mark) and len(value) >= 2 * len(mark):
            return f"{match.group(1)}{mark}{MASK if value != 2 * mark else ''}{mark}"
    return f"{match.group(1)}{MASK}"


def _mask_password_field(match: re.Match[str]) -> str:
    tag = match.group(0)
    return _INPUT_VALUE.sub(rf'\1"{MASK}"', tag) if _INPUT_IS_SECRET.search(tag) else tag
