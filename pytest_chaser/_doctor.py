"""`chaser doctor`: is all there that a run needs? Each line is ok, or says what to do."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata

from ._client import ChaserClient, RetryPolicy
from ._config import read_api_url, read_state_dir
from ._exceptions import ChaserError, ConfigurationError
from ._models import Session, utc_now
from ._secrets import mask_key

_PATIENCE = 15.0
# Longer than an HTTP Date's second and a slow answer, short enough to matter for expiry times.
_SKEW_LIMIT = 5.0
_ROUND_TRIPS = 10
PACKAGES = ("pytest", "pytest-xdist", "httpx", "pyppeteer", "websockets", "urllib3", "pyee", "filelock", "aiohttp")


@dataclass(frozen=True)
class Finding:
    """One line of the report: `good` is None for something that was not looked at."""

    subject: str
    good: bool | None
    text: str

    def __str__(self) -> str:
        mark = {True: "ok", False: "!!", None: "--"}[self.good]
        return f"{mark}  {self.subject:<10} {self.text}"


def examine(browser: Callable[[], tuple[bool, str]], *, with_session: bool) -> bool:
    """Print what was found; return True if nothing needs attention. `browser` finds this machine's browser."""
    good = True
    for finding in _findings(browser, with_session):
        print(finding, flush=True)
        good = good and finding.good is not False
    return good


def _findings(browser: Callable[[], tuple[bool, str]], with_session: bool) -> Iterator[Finding]:
    yield from _versions()
    there, text = browser()
    key = os.environ.get("CHASER_KEY", "").strip()
    # Without a key the browser of this machine is what the tests run on; with one it is not needed.
    yield Finding("browser", there or (None if key else False), text)
    yield _state_folder()
    if not key:
        yield Finding("key", None, "CHASER_KEY is not set: tests run on this machine's browser (local mode)")
        return
    yield Finding("key", True, f"CHASER_KEY is {mask_key(key)}")
    try:
        api_url = read_api_url(os.environ)
        client = ChaserClient(key, api_url, timeout=_PATIENCE, retry=RetryPolicy.none())
    except ConfigurationError as error:
        yield Finding("api", False, str(error))
        return
    with client:
        yield from _api(client, with_session)


def _versions() -> Iterator[Finding]:
    yield Finding("python", sys.version_info >= (3, 10), sys.version.split()[0])
    found = []
    for name in ("pytest-chaser", *PACKAGES):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    yield Finding("versions", True, ", ".join(found))
    conflicts = list(_conflicts())
    yield Finding(
        "pins",
        not conflicts,
        "; ".join([*conflicts, "install pytest-chaser into an environment of its own, or let pip resolve both at once"])
        if conflicts
        else "what pyppeteer pins (websockets, urllib3, pyee) is as it wants it",
    )


def _conflicts() -> Iterator[str]:
    # pip brings packaging's parser only as a private copy; pytest depends on the real one.
    from packaging.requirements import Requirement

    for text in metadata.requires("pyppeteer") or ():
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            yield f"{requirement.name} is missing"
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"pyppeteer wants {requirement.name}{requirement.specifier}, but {version} is installed"


def _state_folder() -> Finding:
    folder = read_state_dir(os.environ)
    nearest = folder
    while not nearest.exists():
        nearest = nearest.parent
    good = nearest.is_dir() and os.access(nearest, os.W_OK)
    remedy = "" if good else ", which cannot be written: set CHASER_STATE_DIR to a folder that can"
    return Finding("state", good, f"{folder}{remedy}")


def _api(client: ChaserClient, with_session: bool) -> Iterator[Finding]:
    started = time.monotonic()
    before = utc_now()
    try:
        page = client.list(limit=1)
    except ChaserError as error:
        yield Finding("api", False, str(error))
        return
    elapsed = time.monotonic() - started
    yield Finding("api", True, f"{client.api_url} accepts the key ({elapsed * 1000:.0f} ms)")
    if page.answered_at is None:
        yield Finding("clock", None, "the API sends no Date header to compare with")
    else:
        skew = (page.answered_at - before).total_seconds() - elapsed / 2
        good = abs(skew) <= _SKEW_LIMIT
        remedy = "" if good else ": set this machine's clock (NTP), or times in reports will be wrong"
        yield Finding("clock", good, f"{abs(skew):.0f} s {'behind' if skew > 0 else 'ahead of'} the API's{remedy}")
    if with_session:
        yield from _session(client)
    else:
        yield Finding("cdp", None, "not tried: `chaser doctor --session` creates a session, connects and deletes it")


def _session(client: ChaserClient) -> Iterator[Finding]:
    started = time.monotonic()
    try:
        session = client.create(ttl_seconds=120)
    except ChaserError as error:
        yield Finding("session", False, str(error))
        return
    try:
        ready = client.wait_until_ready(session)
        yield Finding("session", True, f"{session.id} was ready after {time.monotonic() - started:.1f} s")
        yield Finding("cdp", True, asyncio.run(_try_cdp(client.api_url, ready)))
    except ChaserError as error:
        yield Finding("cdp", False, str(error))
    finally:
        try:
            client.delete(session.id)
        except ChaserError as error:
            yield Finding("delete", False, f"{error}; it expires by itself within 120 s")


async def _try_cdp(api_url: str, session: Session) -> str:
    from .cdp import connect

    started = time.monotonic()
    browser = await connect(session.cdp_url or "", key=os.environ["CHASER_KEY"].strip(), api_url=api_url)
    try:
        connected = time.monotonic()
        for _ in range(_ROUND_TRIPS):
            version = await browser.version()
        trip = (time.monotonic() - connected) / _ROUND_TRIPS
    finally:
        await browser.disconnect()
    return f"{version}: connected in {(connected - started) * 1000:.0f} ms, {trip * 1000:.1f} ms a round trip"
