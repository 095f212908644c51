"""The `chaser` command. Each subcommand imports what it needs when it runs, so that `--help` is there at once.

Exit codes: 0 done or all well, 1 it could not be done or something needs attention, 2 a wrong command line or
setting, 130 Ctrl-C. No secret is accepted as an argument: the key comes from CHASER_KEY.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from . import __version__
from ._exceptions import ChaserError, ConfigurationError

OK = 0
ATTENTION = 1
USAGE = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    args = build_parser(given).parse_args(given)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except ConfigurationError as error:
        print(f"chaser {args.name}: {error}", file=sys.stderr)
        return USAGE
    except ChaserError as error:
        print(f"chaser {args.name}: {error}", file=sys.stderr)
        return ATTENTION
    except KeyboardInterrupt:
        return INTERRUPTED


def build_parser(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of all subcommands; `given` is what it is for."""
    parser = argparse.ArgumentParser(prog="chaser", description="Tools around pytest-chaser; tests are run by pytest.")
    parser.add_argument("--version", action="version", version=f"pytest-chaser {__version__}")
    commands = parser.add_subparsers(dest="name", required=True, metavar="COMMAND")

    def add(name: str, command: Callable[[argparse.Namespace], int], help: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=help, description=f"{help[0].upper()}{help[1:]}.")
        sub.set_defaults(command=command)
        return sub

    doctor = add("doctor", _doctor, "check key, API, clock, browser and versions; each line is ok or says what to do")
    doctor.add_argument("--session", action="store_true", help="also create a session, connect to it and delete it")
    sessions = add("sessions", _sessions, "list the workspace's sessions")
    sessions.add_argument("--all", action="store_true", help="ended ones too")
    sessions.add_argument("--json", action="store_true", help="as JSON, one array")
    reap = add("reap", _reap, "delete what dead test runs left open")
    reap.add_argument("--dry-run", action="store_true", help="only say what would be deleted")
    reap.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="default: %(default)g")
    serve = add("serve", _serve, "serve the Sessions API on this machine's own browser")
    if "serve" in given[:1]:
        # Its options come with the server, and that takes aiohttp a while to import.
        from .emulator import _serve as server

        server.add_arguments(serve)
    add("install-browser", _install_browser, "find Chrome, Chromium or Edge, else install one")
    return parser


def _doctor(args: argparse.Namespace) -> int:
    from ._doctor import examine
    from .emulator._browser import BrowserNotFound, find_browser

    def browser() -> tuple[bool, str]:
        try:
            return True, str(find_browser())
        except BrowserNotFound as error:
            return False, str(error)

    return OK if examine(browser, with_session=args.session) else ATTENTION


def _sessions(args: argparse.Namespace) -> int:
    from ._listing import list_sessions

    return list_sessions(everything=args.all, as_json=args.json)


def _reap(args: argparse.Namespace) -> int:
    from ._listing import reap

    return OK if reap(dry_run=args.dry_run, timeout=args.timeout) else ATTENTION


def _serve(args: argparse.Namespace) -> int:
    from .emulator import _serve as server

    return server.run(args)


def _install_browser(args: argparse.Namespace) -> int:
    from .emulator._browser import BrowserNotFound, InstallFailed, install_browser

    try:
        path = install_browser()
    except (BrowserNotFound, InstallFailed) as error:
        print(f"chaser install-browser: {error}", file=sys.stderr)
        return ATTENTION
    print(f"browser: {path}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
