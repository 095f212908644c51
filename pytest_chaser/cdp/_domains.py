"""Which hosts may see the account's key: the API's own registrable domain, and this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

# Suffixes under which strangers register names. Where the list and the rule below err, they err towards not sending.
_SHARED_SUFFIXES = frozenset(
    """
    github.io gitlab.io herokuapp.com vercel.app netlify.app pages.dev workers.dev fly.dev onrender.com run.app web.app
    appspot.com firebaseapp.com cloudfront.net amazonaws.com azurewebsites.net azure.com windows.net ngrok.io ngrok.app
    ngrok.dev ngrok-free.app ngrok-free.dev trycloudflare.com railway.app deno.dev surge.sh replit.app replit.dev
    glitch.me blogspot.com nip.io sslip.io duckdns.org no-ip.org hopto.org
    """.split()  # noqa: SIM905
)
# Second labels that registries of countries use: co.uk, com.au, ne.jp.
_SECOND_LABELS = frozenset(
    "co com net org gov edu ac ne or go gob nom mil sch ltd plc info biz web gen firm".split()  # noqa: SIM905
)


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine by name or address."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def may_have_key(host: str, secure: bool, api_url: str | None) -> bool:
    """Return whether the key may be sent to `host`: loopback, or over TLS to the API's own registrable domain."""
    if is_loopback(host):
        return True
    api_host = urlsplit(api_url).hostname if api_url else None
    if not secure or not api_host:
        return False
    name, own = host.lower().rstrip("."), api_host.lower().rstrip(".")
    domain = registrable_domain(own)
    return name == own or (domain is not None and (name == domain or name.endswith(f".{domain}")))


def registrable_domain(host: str) -> str | None:
    """Return the domain that one owner holds, as far as can be told without the public suffix list; else None."""
    labels = host.split(".")
    if _is_address(host) or len(labels) < 2 or not all(labels):
        return None
    country = len(labels[-1]) == 2
    shared = ".".join(labels[-2:]) in _SHARED_SUFFIXES or ".".join(labels[-3:]) in _SHARED_SUFFIXES
    second = country and (labels[-2] in _SECOND_LABELS or len(labels[-2]) <= 2)
    needed = 3 if shared or second else 2
    return ".".join(labels[-needed:]) if len(labels) >= needed else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
