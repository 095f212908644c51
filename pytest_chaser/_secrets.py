"""What must never be shown, and how it is shown instead."""

from __future__ import annotations

from urllib.parse import urlsplit

MASK = "***"


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
