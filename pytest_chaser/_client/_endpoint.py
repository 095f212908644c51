"""Where the API is and with which key: checked once, before anything is sent."""

from __future__ import annotations

import ipaddress
import os
import warnings
from dataclasses import dataclass
from urllib.parse import urlsplit

from .._exceptions import ChaserWarning, ConfigurationError
from .._secrets import Secret

DEFAULT_API_URL = "https://api.chaser.sh"


@dataclass(frozen=True)
class Endpoint:
    """A checked API address and key. `url` has no trailing slash; `host` is how messages name the place."""

    url: str
    host: str
    loopback: bool
    key: Secret

    @classmethod
    def resolve(cls, key: str | None, api_url: str | None, *, warn_of_clear_text: bool = True) -> Endpoint:
        """Check what the caller gave, with `CHASER_KEY` and `CHASER_API_URL` for what is None.

        An empty `CHASER_API_URL` counts as unset: that is how CI systems pass a variable that has no value.
        Plain `http://` to another machine is allowed, for a server in the next container, but warned of.
        """
        secret = Secret(check_key(os.environ.get("CHASER_KEY") if key is None else key))
        url, host, loopback = check_url((os.environ.get("CHASER_API_URL") if api_url is None else api_url) or None)
        if warn_of_clear_text and url.startswith("http://") and not loopback:
            warnings.warn(
                f"the key travels unencrypted to {host}; use https:// in CHASER_API_URL unless that network is yours",
                ChaserWarning,
                stacklevel=3,
            )
        return cls(url=url, host=host, loopback=loopback, key=secret)


def check_key(key: str | None) -> str:
    """Return the key without surrounding white space (a copied newline), or say what is wrong with it."""
    if key is not None and not isinstance(key, str):
        raise ConfigurationError(f"the API key has to be a string, not {type(key).__name__}")
    stripped = (key or "").strip()
    if not stripped:
        raise ConfigurationError("there is no API key: set CHASER_KEY, or pass key=...")
    if not stripped.isascii():
        raise ConfigurationError("the API key holds characters that are not ASCII; copy it again into CHASER_KEY")
    if any(character <= " " or character == "\x7f" for character in stripped):
        raise ConfigurationError(
            "the API key holds white space or control characters; CHASER_KEY is the bare key, without 'Bearer'"
        )
    return stripped


def check_url(api_url: str | None) -> tuple[str, str, bool]:
    """Return the API's address without a trailing slash, its host (with port), and whether that is loopback."""
    if api_url is None:
        api_url = DEFAULT_API_URL
    if not isinstance(api_url, str):
        raise ConfigurationError(f"the API URL has to be a string, not {type(api_url).__name__}")
    text = api_url.strip()
    form = "; CHASER_API_URL has the form https://host[:port][/prefix]"
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError(f"the API URL is malformed{form}") from None
    if parts.username is not None or parts.password is not None or "@" in parts.netloc:
        raise ConfigurationError(f"the API URL must not hold a user name or password; the key is CHASER_KEY{form}")
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"the API URL {text!r} does not start with https:// (or http://){form}")
    if not host:
        raise ConfigurationError(f"the API URL {text!r} names no host{form}")
    if parts.query or parts.fragment or any(character <= " " for character in text):
        raise ConfigurationError(f"the API URL must not hold a query, a fragment or white space{form}")
    shown = f"[{host}]" if ":" in host else host
    place = f"{shown}:{port}" if port is not None else shown
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}", place, is_loopback(host)


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is this machine."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
