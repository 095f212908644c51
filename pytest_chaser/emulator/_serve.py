"""`chaser serve`: the embedded server by itself.

Exit codes: 0 ended by SIGTERM, 130 by Ctrl-C, 1 it could not start, 2 an option cannot be used.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping

from ._app import Call
from ._server import EmulatorServer
from ._sessions import Change, Status
from ._settings import ANDROID_LIMITS, EmulatorError, EmulatorSettings, SettingsError, parse_range

KEYS_VARIABLE = "CHASER_SERVE_KEYS"
ADMIN_TOKEN_VARIABLE = "CHASER_SERVE_ADMIN_TOKEN"
DEFAULT_PORT = 8300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `chaser serve`. Keys are no option: a command line is there for all to read."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    add("--port", type=int, default=DEFAULT_PORT, help="port, 0 for a free one (default: %(default)s)")
    delay = "time from creating to ready, such as 2 or 15-25 as in the cloud (default: as fast as the browser)"
    add("--ready-delay", type=_range, default=(0.0, 0.0), metavar="SECONDS", help=delay)
    add("--quota", type=int, metavar="N", help="open sessions that one key may have (default: no limit)")
    add("--warm", type=int, default=0, metavar="N", help="browsers that wait idle, so that a session starts at once")
    add("--stub", action="store_true", help="no browsers: sessions that only look alive, for load tests")
    add("--chrome", metavar="PATH", help="the browser (default: CHASER_CHROME, PATH, the usual places)")
    add("--headed", action="store_true", help="show the browsers' windows")
    add("--android-limits", type=_limits, default=frozenset(), metavar="LIMITS",
        help="what a phone refuses to create: contexts, targets or both, separated by commas")  # fmt: skip
    add("--clock-skew", type=float, default=0.0, metavar="SECONDS", help="how far the server's clock is ahead")
    add("--expires-cap", type=float, metavar="SECONDS", help="longest life of a session, whatever ttl_seconds says")
    add("--cdp-url-when-ready", action="store_true", help="leave cdp_url out until the session is ready")
    add("--cdp-requires-key", action="store_true", help="want the key for the CDP connection too")
    add("--invalid-body-status", type=int, choices=(400, 422), default=400, help="answer to a bad body")
    add("--admin-port", type=int, metavar="PORT", help="serve faults and counters here, 0 for a free port")


def run(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> int:
    """Serve until a signal; return the exit code."""
    try:
        settings = settings_from(args, environ)
    except SettingsError as error:
        print(f"chaser serve: {error}", file=sys.stderr)
        return 2
    try:
        return asyncio.run(_serve(settings))
    except EmulatorError as error:
        print(f"chaser serve: {error}", file=sys.stderr)
        return 1


def settings_from(args: argparse.Namespace, environ: Mapping[str, str]) -> EmulatorSettings:
    """Return the settings that options and environment ask for; raises SettingsError.

    The keys are those of CHASER_SERVE_KEYS, separated by commas, else one that is made up and printed.
    """
    keys = tuple(key.strip() for key in environ.get(KEYS_VARIABLE, "").split(",") if key.strip())
    return EmulatorSettings(
        host=args.host,
        port=args.port,
        keys=keys or (f"local-{secrets.token_hex(12)}",),
        ready_delay=args.ready_delay,
        quota=args.quota,
        stub=args.stub,
        chrome=args.chrome,
        headed=args.headed,
        warm=args.warm,
        cdp_url_from_creation=not args.cdp_url_when_ready,
        expires_cap=args.expires_cap,
        invalid_body_status=args.invalid_body_status,
        cdp_requires_key=args.cdp_requires_key,
        android_limits=args.android_limits,
        clock_skew=args.clock_skew,
        admin_port=args.admin_port,
        admin_token=environ.get(ADMIN_TOKEN_VARIABLE, "").strip() or None,
    )


async def _serve(settings: EmulatorSettings) -> int:
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def stop(status: int) -> None:
        if not stopped.done():
            stopped.set_result(status)

    # Before anything is started, so that a signal during the start ends it cleanly as well.
    for number, status in ((signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGHUP, 0)):
        asyncio.get_running_loop().add_signal_handler(number, stop, status)
    async with EmulatorServer(settings) as server:
        server.api.watchers.append(_log_call)
        server.store.watchers.append(_log_change)
        _say(greeting(server))
        return await stopped


def greeting(server: EmulatorServer) -> str:
    """Return the address and what to paste into a shell; keys that the user chose are not repeated."""
    settings = server.settings
    made_up = settings.keys is not None and settings.keys[0].startswith("local-")
    what = "stub, no browsers" if settings.stub else "this machine's browser"
    key = settings.keys[0] if settings.keys and made_up else f"...  # one of {KEYS_VARIABLE}"
    token = "...  # that of " + ADMIN_TOKEN_VARIABLE if settings.admin_token else server.admin_token
    lines = [
        f"chaser serve: {server.url} ({what})",
        f"chaser serve: watch the sessions at {server.url}/{f'#key={key}' if made_up else ''}",
        "",
        f"export CHASER_API_URL={server.url}",
        f"export CHASER_KEY={key}",
    ]
    if server.admin_url is not None:
        lines += [f"export CHASER_ADMIN_URL={server.admin_url}", f"export CHASER_ADMIN_TOKEN={token}"]
    return "\n".join([*lines, ""])


def _log_call(call: Call, status: int) -> None:
    # The path only: a preview token is in the query.
    took = (time.monotonic() - call.started) * 1000
    shown = str(status) if status else "dropped"
    _say(f"{time.strftime('%H:%M:%S')} {call.request.method} {call.request.path} {shown} {took:.0f} ms")


def _log_change(change: Change) -> None:
    session = change.session
    if session.status is Status.ERROR or (change.before is not None and not session.status.is_open):
        _say(f"{time.strftime('%H:%M:%S')} {session.id} {session.status.value}: {session.ended_reason}")


def _say(text: str) -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Whoever read the log has gone; the server goes on.
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it stays open for the life of the process


def _range(text: str) -> tuple[float, float]:
    try:
        return parse_range(text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _limits(text: str) -> frozenset[str]:
    limits = frozenset(part.strip() for part in text.split(",") if part.strip())
    if limits - ANDROID_LIMITS:
        raise argparse.ArgumentTypeError(f"{text!r}: the limits are contexts and targets")
    return limits
