"""The one table of options, and the settings of a run that it yields.

Every option can be given on the command line, in the environment or in the ini file; the first of these that has it
wins, and the marker `chaser` wins over all of them for the tests that bear it. A value is parsed once, here; a bad one
is a ConfigurationError that names the option, the place it came from and the accepted form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from . import _parsers as p
from ._exceptions import ConfigurationError

DEFAULT_API_URL = "https://api.chaser.sh"
KEPT = ("off", "on", "retain-on-failure")
GATES = ("console-error", "page-error", "http-5xx", "request-failed")


class Option:
    """One setting: its name, its parser, its default, and where it can be given.

    `cli` is False for what only makes sense for a whole project; `marker` is True for what a single test may change;
    `flag` is True for what needs no value on the command line. Like `Settings` no dataclass: every pytest run on the
    machine loads this module, and making the two would take a third of its time.
    """

    __slots__ = ("cli", "default", "flag", "help", "marker", "name", "parser")

    def __init__(
        self,
        name: str,
        parser: p.Parser,
        default: Any,
        help: str,
        *,
        cli: bool = True,
        flag: bool = False,
        marker: bool = False,
    ) -> None:
        self.name = name
        self.parser = parser
        self.default = default
        self.help = help
        self.cli = cli
        self.flag = flag
        self.marker = marker

    @property
    def switch(self) -> str:
        return f"--chaser-{self.name.replace('_', '-')}"

    @property
    def ini(self) -> str:
        return f"chaser_{self.name}"

    @property
    def variable(self) -> str:
        return f"CHASER_{self.name.upper()}"

    @property
    def dest(self) -> str:
        return f"chaser_{self.name}"


OPTIONS: tuple[Option, ...] = (
    Option(
        "mode",
        p.choice("auto", "cloud", "local"),
        "auto",
        "where browsers run: the cloud, or this machine's own Chrome; auto is the cloud if CHASER_KEY is set",
    ),
    Option(
        "scope",
        p.choice("test", "worker"),
        "test",
        "how long a remote session is kept: for one test, or until the worker process ends",
        marker=True,
    ),
    Option(
        "isolation",
        p.choice("context", "reset", "none"),
        "context",
        "in worker scope, what separates tests: a fresh browser context, a browser wiped clean, or nothing",
        marker=True,
    ),
    Option(
        "ttl",
        p.whole(p.MIN_TTL, p.MAX_TTL, unit="seconds", metavar="SECONDS"),
        None,
        "lifetime asked for each session; the API's default is 1800",
        marker=True,
    ),
    Option("profile", p.label(), None, "profile label sent when a session is created", marker=True),
    Option("ready_timeout", p.duration(), 120.0, "how long a session may take from its creation until it is ready"),
    Option(
        "acquire_timeout",
        p.duration(),
        300.0,
        "how long a test waits for a session in all, an account's limit included",
    ),
    Option("max_sessions", p.whole(1), None, "most sessions this run has open at once; unset, the account's limit is"),
    Option("look_ahead", p.look_ahead(), "auto", "how many sessions are provisioned before they are needed"),
    Option("output", p.folder(), Path("chaser-results"), "folder for screenshots and other evidence"),
    Option(
        "screenshot",
        p.choice("on", "off", "only-on-failure"),
        "only-on-failure",
        "when a screenshot is kept",
        marker=True,
    ),
    Option("full_page_screenshot", p.switch(), False, "take screenshots of the whole page", flag=True),
    Option(
        "trace",
        p.choice("off", "on", "retain-on-failure", "on-first-retry"),
        "off",
        "when a trace is kept: one HTML file with the test's calls, console, network and frames",
        marker=True,
    ),
    Option("har", p.choice(*KEPT), "retain-on-failure", "when the network log is kept as a HAR file"),
    Option("console", p.choice(*KEPT), "retain-on-failure", "when the console's messages are kept"),
    Option("html", p.choice(*KEPT), "retain-on-failure", "when the page's HTML is kept"),
    Option(
        "fail_on",
        p.words(*GATES),
        frozenset(),
        "what makes a test fail that passed otherwise",
        marker=True,
    ),
    Option("live", p.choice("off", "print", "open"), "off", "show each session's live view: its address, or opened"),
    Option("pause", p.choice("never", "on-failure"), "never", "wait for Enter when a test fails, its page still open"),
    Option(
        "slowmo",
        p.duration(low=-1e-9, unit="milliseconds", metavar="MS"),
        0.0,
        "pause before each input and navigation",
    ),
    Option("headed", p.switch(), False, "show the browser's window (local mode only)", flag=True),
    Option("call_timeout", p.duration(), 60.0, "ceiling for calls to the browser that have no timeout", cli=False),
    Option(
        "exclusive",
        p.switch(),
        False,
        "declare that only pytest-chaser, through this state folder, uses this key",
        cli=False,
    ),
    Option("ignore", p.patterns(), (), "messages and addresses that the gates of fail_on let pass", cli=False),
    Option("redact", p.lines(), (), "names of headers, cookies and fields whose values no file shows", cli=False),
    Option("exclude_evidence", p.lines(), (), "pieces of evidence that are not kept, by name", cli=False),
)
"""In the order in which they are documented."""

BY_NAME: Mapping[str, Option] = {option.name: option for option in OPTIONS}

_MARKER_ONLY = (
    Option("viewport", p.size(), None, "size of the page's viewport; unset, the device's own"),
    Option("only", p.choice("cloud", "local"), None, "skip the test in the other mode"),
)
MARKER_KEYS: Mapping[str, Option] = {
    **{option.name: option for option in OPTIONS if option.marker},
    **{option.name: option for option in _MARKER_ONLY},
}
MARKER_LINE = (
    f"chaser({', '.join(f'{key}=' for key in MARKER_KEYS)}): "
    "change the browser session of a test, class or module; the nearest marker wins key by key."
)


class Settings:
    """All that a run was told, parsed; it does not change, and its `repr` shows no key.

    `mode` is `cloud` or `local`: `auto` is decided. Durations are in seconds, but `slowmo` in milliseconds.
    """

    mode: str
    key: str | None
    api_url: str
    chrome: str | None
    scope: str
    isolation: str
    ttl: int | None
    profile: str | None
    ready_timeout: float
    acquire_timeout: float
    max_sessions: int | None
    look_ahead: str | int
    output: Path
    screenshot: str
    full_page_screenshot: bool
    trace: str
    har: str
    console: str
    html: str
    fail_on: frozenset[str]
    live: str
    pause: str
    slowmo: float
    headed: bool
    call_timeout: float
    exclusive: bool
    ignore: tuple[re.Pattern[str], ...]
    redact: tuple[str, ...]
    exclude_evidence: tuple[str, ...]

    def __init__(self, **values: Any) -> None:
        missing = self.__annotations__.keys() ^ values.keys()
        if missing:
            raise TypeError(f"Settings: {', '.join(sorted(missing))}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"settings do not change: {name}")

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items() if name != "key")
        return f"Settings({shown})"

    @property
    def is_cloud(self) -> bool:
        return self.mode == "cloud"


class Sources:
    """Where raw values come from, in falling precedence; each lookup gives None for what is not set there."""

    def __init__(
        self,
        command_line: Callable[[Option], str | None],
        environ: Mapping[str, str],
        ini: Callable[[Option], str | None],
    ) -> None:
        self.command_line = command_line
        self.environ = environ
        self.ini = ini

    def raw(self, option: Option) -> tuple[str, str] | None:
        """Return the winning text of an option with the name of the place it stands in, or None if it is unset."""
        if option.cli and (text := self.command_line(option)) is not None:
            return text, f"option {option.switch}"
        if text := self.environ.get(option.variable):
            return text, f"environment variable {option.variable}"
        if text := self.ini(option):
            return text, f"ini key {option.ini}"
        return None


def parse_option(option: Option, text: str, place: str) -> Any:
    """Parse one text, or raise a ConfigurationError that names the option, the place and the accepted form."""
    try:
        return option.parser(text)
    except ValueError:
        named = f" ({option.switch})" if option.cli and option.switch not in place else ""
        raise ConfigurationError(f"{place}: {text!r} is not accepted; give {option.parser.accepts}{named}") from None


def resolve(sources: Sources, rootpath: Path) -> Settings:
    """Parse every option once and decide the mode; raise a ConfigurationError for what cannot be used."""
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for option in OPTIONS:
        found = sources.raw(option)
        values[option.name] = option.default if found is None else parse_option(option, *found)
        places[option.name] = option.switch if found is None else found[1]
    key = read_key(sources.environ)
    values["mode"] = decide_mode(values["mode"], key, places["mode"])
    values["output"] = rootpath / values["output"]
    if values["headed"] and values["mode"] == "cloud":
        raise ConfigurationError(
            f"{places['headed']}: a cloud browser has no window here; "
            "use --chaser-live print to watch it, or --chaser-mode local"
        )
    return Settings(
        key=key,
        api_url=read_api_url(sources.environ),
        chrome=sources.environ.get("CHASER_CHROME") or None,
        **values,
    )


def decide_mode(mode: str, key: str | None, place: str) -> str:
    """Return `cloud` or `local`; the cloud without a key is a ConfigurationError."""
    if mode == "auto":
        return "cloud" if key else "local"
    if mode == "cloud" and not key:
        raise ConfigurationError(
            f"{place}: cloud mode needs the account's API key in the environment variable CHASER_KEY, which is not "
            "set; export it, or use --chaser-mode local to run on this machine's own browser"
        )
    return mode


def read_key(environ: Mapping[str, str]) -> str | None:
    """Return the API key, or None. One that no HTTP header can carry is a ConfigurationError that does not show it."""
    key = environ.get("CHASER_KEY", "").strip()
    if any(not "!" <= character <= "~" for character in key):
        raise ConfigurationError(
            "environment variable CHASER_KEY: the value has blanks or other characters that no API key has; "
            "copy the key again, without quotes or line breaks"
        )
    return key or None


def read_api_url(environ: Mapping[str, str]) -> str:
    """Return the API's base URL without a trailing slash."""
    url = (environ.get("CHASER_API_URL") or DEFAULT_API_URL).strip().rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and not parts.query and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            f"environment variable CHASER_API_URL: {url!r} is not accepted; "
            f"give an http or https address, such as {DEFAULT_API_URL}"
        )
    return url


def read_state_dir(environ: Mapping[str, str]) -> Path:
    """Return the folder where ledgers and figures are kept between runs; it is not made here."""
    named = environ.get("CHASER_STATE_DIR")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs  # 5 ms, which only runs that use a session pay

    return Path(platformdirs.user_state_path("pytest-chaser"))


def is_loopback(url: str) -> bool:
    """Tell whether the URL's host is this machine, seen from itself."""
    try:
        host = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return False
    return host in ("localhost", "::1", "0.0.0.0") or host.endswith(".localhost") or host.startswith("127.")


def sources_of(config: Any, environ: Mapping[str, str] | None = None) -> Sources:
    """Read raw values from a pytest config and the process's environment."""

    def ini(option: Option) -> str | None:
        value = config.getini(option.ini)
        if isinstance(value, (list, tuple)):
            return "\n".join(str(line) for line in value) or None
        return str(value) if value not in (None, "") else None

    return Sources(
        command_line=lambda option: config.getoption(option.dest, None),
        environ=os.environ if environ is None else environ,
        ini=ini,
    )


def add_options(parser: Any) -> None:
    """Declare every option of the table to pytest: on the command line and as an ini key."""
    group = parser.getgroup("chaser", "remote browsers (pytest-chaser)")
    for option in OPTIONS:
        default = "" if option.default in (None, (), frozenset()) else f" (default: {_shown(option.default)})"
        # argparse expands %, and so does nothing of ours need one.
        text = f"{option.help}{default}".replace("%", "%%")
        if option.cli and option.flag:
            group.addoption(
                option.switch, dest=option.dest, action="store_const", const="true", default=None, help=text
            )
        elif option.cli:
            group.addoption(option.switch, dest=option.dest, metavar=option.parser.metavar, default=None, help=text)
        kind = "linelist" if option.parser.many else "string"
        parser.addini(option.ini, f"{option.help}{default}", type=kind, default=None)


def _shown(default: object) -> str:
    return (
        str(default).lower()
        if isinstance(default, bool)
        else f"{default:g}"
        if isinstance(default, float)
        else str(default)
    )
