"""Listens to one page while a test runs: cheap handlers, bounded memory, nothing awaited on the test's way.

Everything here but the reading properties runs on the loop thread that owns the page's connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from ._arguments import shortened_arguments
from ._network import NetworkLog
from ._records import BoundedLog, CallEntry, ConsoleEntry, NavigationEntry

if TYPE_CHECKING:
    from ._trace import Tracer

_TEXT_LIMIT = 4000
_LEARNED_LIMIT = 200
_ERROR_LEVELS = frozenset({"error", "assert"})

# Typing into a page is the one moment when a password is in its field for certain: the next call may submit it.
_TYPING = ("type", "fill", "press", "sendcharacter")
_SETTING = ("value", "password")
_PASSWORDS = "[...document.querySelectorAll('input[type=password]')].map(e => e.value).filter(v => v)"


class Session(Protocol):
    """The part of pyppeteer's `CDPSession` that evidence uses."""

    def on(self, event: str, f: Callable[[dict[str, Any]], None]) -> Any: ...
    def remove_listener(self, event: str, f: Callable[[dict[str, Any]], None]) -> Any: ...
    def send(self, method: str, params: dict[str, Any] | None = None) -> Awaitable[Any]: ...


class Recorder:
    """What one page said and did during one test.

    `number` counts the sessions of a test from 1. `dialog` is the text of a dialog that is open now, `crashed` is
    True while the tab is dead: both tell the capture what it need not wait for.
    """

    def __init__(
        self,
        client: Session,
        *,
        session_id: str = "",
        clock: Callable[[], float] = time.time,
        address: Callable[[], str] = str,
    ) -> None:
        self.client = client
        self._address = address
        self.session_id = session_id
        self.number = 1
        self._clock = clock
        self.network = NetworkLog(clock)
        self._handlers: list[tuple[Session, str, Callable[[dict[str, Any]], None]]] = []
        self._tasks: set[asyncio.Future[Any]] = set()
        self.detached = False
        self.reset()

    def reset(self) -> None:
        """Forget everything: the page goes to another test."""
        self.started = self._clock()
        self.console: BoundedLog[ConsoleEntry] = BoundedLog()
        self.network.clear()
        self.navigations: BoundedLog[NavigationEntry] = BoundedLog(300)
        self.calls: BoundedLog[CallEntry] = BoundedLog(2000)
        self.running: list[CallEntry] = []
        self.learned: dict[str, None] = {}
        self.dialog: str | None = None
        self.crashed = False
        self.tracer: Tracer | None = None
        self._call_count = 0

    async def attach(self) -> None:
        """Start to listen; returns once the browser has been told which events are wanted."""
        self.listen(self.client)
        self._on(self.client, "Page.frameNavigated", self._on_navigated)
        self._on(self.client, "Page.navigatedWithinDocument", self._on_navigated_within)
        self._on(self.client, "Inspector.targetCrashed", self._on_crash)
        self._on(self.client, "Inspector.targetReloadedAfterCrash", self._on_revival)
        # The page has enabled the other domains when it was opened, with settings that must stay.
        await self.client.send("Inspector.enable", {})

    def listen(self, client: Session) -> None:
        """Record what a session with documents says: the page's own, or that of a frame in another process."""
        for event, handler in (
            ("Runtime.consoleAPICalled", self._on_console),
            ("Runtime.exceptionThrown", self._on_exception),
            ("Log.entryAdded", self._on_log),
            ("Page.javascriptDialogOpening", self._on_dialog),
            ("Page.javascriptDialogClosed", self._on_dialog_closed),
            ("Network.responseReceivedExtraInfo", self._on_headers),
            ("Network.requestWillBeSentExtraInfo", self._on_headers),
            *self.network.handlers(),
        ):
            self._on(client, event, handler)

    def _on(self, client: Session, event: str, handler: Callable[[dict[str, Any]], None]) -> None:
        client.on(event, handler)
        self._handlers.append((client, event, handler))

    def detach(self) -> None:
        """Stop to listen; what was recorded stays."""
        self.detached = True
        for client, event, handler in self._handlers:
            with contextlib.suppress(KeyError, ValueError):
                client.remove_listener(event, handler)
        self._handlers.clear()
        for task in [*self._tasks]:
            task.cancel()

    @property
    def url(self) -> str:
        """Where the page is, as far as its events tell: known also when the page itself does not answer."""
        addresses = [entry.url for entry in self.navigations]
        return addresses[-1] if addresses else self._address()

    def now(self) -> float:
        """Return the time on the clock of the records."""
        return self._clock()

    def origin(self) -> tuple[str, int]:
        """Return where in its file the test is, on the test's thread; without a trace nobody needs to know."""
        return self.tracer.origin() if self.tracer is not None else ("", 0)

    def call_started(
        self,
        name: str,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
        origin: tuple[str, int] = ("", 0),
    ) -> CallEntry:
        """Note that the test calls its page; the entry returned is handed back to `call_ended`."""
        self._call_count += 1
        entry = CallEntry(
            self._clock(),
            name,
            shortened_arguments(args, kwargs or {}),
            number=self._call_count,
            source=origin[0],
            line=origin[1],
        )
        self.calls.add(entry)
        self.running.append(entry)
        return entry

    def call_ended(self, entry: CallEntry, error: BaseException | None = None) -> None:
        """Note how the call ended; must be on the loop thread, before the test's next call is sent."""
        entry.ended = self._clock()
        if error is not None:
            entry.error = f"{type(error).__name__}: {error}"[:_TEXT_LIMIT]
        with contextlib.suppress(ValueError):
            self.running.remove(entry)
        if self.dialog is None and not self.crashed and _may_set_password(entry):
            self.spawn(self._learn_passwords())
        if self.tracer is not None:
            self.tracer.call_ended(entry)

    def spawn(self, work: Awaitable[Any]) -> None:
        """Run something beside the test, ended by `detach`; its failure is not the test's."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)

    def learn(self, secret: str) -> None:
        """Remember a text that must not be in any file."""
        if len(secret) >= 4 and len(self.learned) < _LEARNED_LIMIT:
            self.learned[secret[:_TEXT_LIMIT]] = None

    async def flush(self) -> None:
        """Return when every event that the page caused until now has been recorded."""
        if self.dialog is None and not self.crashed:
            await self.client.send("Runtime.evaluate", {"expression": "0"})

    def dropped(self) -> dict[str, int]:
        """Return how many entries of which kind were let go to bound the memory."""
        counts = {
            "console lines": self.console.dropped,
            "requests": self.network.log.dropped,
            "navigations": self.navigations.dropped,
            "page calls": self.calls.dropped,
        }
        return {kind: count for kind, count in counts.items() if count}

    async def _learn_passwords(self) -> None:
        answer = await self.client.send("Runtime.evaluate", {"expression": _PASSWORDS, "returnByValue": True})
        for value in answer.get("result", {}).get("value") or ():
            self.learn(str(value))

    def _forget_task(self, task: asyncio.Future[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    def _on_console(self, event: dict[str, Any]) -> None:
        level = event.get("type", "log")
        text = " ".join(_console_text(argument) for argument in event.get("args", ()))
        frames = (event.get("stackTrace") or {}).get("callFrames") or [{}]
        self._add_console(level, text, frames[0])

    def _on_exception(self, event: dict[str, Any]) -> None:
        details = event.get("exceptionDetails", {})
        thrown = details.get("exception") or {}
        text = thrown.get("description") or f"{details.get('text', '')} {_console_text(thrown)}".strip()
        frames = (details.get("stackTrace") or {}).get("callFrames") or [details]
        self._add_console("page-error", text, frames[0])

    def _on_log(self, event: dict[str, Any]) -> None:
        entry = event.get("entry", {})
        self._add_console(entry.get("level", "info"), entry.get("text", ""), entry)

    def _add_console(self, level: str, text: str, place: Mapping[str, Any]) -> None:
        entry = ConsoleEntry(
            self._clock(),
            level,
            text[:_TEXT_LIMIT],
            place.get("url") or "",
            (place.get("lineNumber") or 0) + 1,
        )
        self.console.add(entry, important=level == "page-error" or level in _ERROR_LEVELS)

    def _on_navigated(self, event: dict[str, Any]) -> None:
        frame = event.get("frame", {})
        if not frame.get("parentId"):
            self.navigations.add(NavigationEntry(self._clock(), frame.get("url", "") + frame.get("urlFragment", "")))

    def _on_navigated_within(self, event: dict[str, Any]) -> None:
        self.navigations.add(NavigationEntry(self._clock(), event.get("url", ""), same_document=True))

    def _on_dialog(self, event: dict[str, Any]) -> None:
        self.dialog = f"{event.get('type', 'dialog')}: {event.get('message', '')}"[:_TEXT_LIMIT]

    def _on_dialog_closed(self, _event: dict[str, Any]) -> None:
        self.dialog = None

    def _on_crash(self, _event: dict[str, Any]) -> None:
        self.crashed = True

    def _on_revival(self, _event: dict[str, Any]) -> None:
        self.crashed = False

    def _on_headers(self, event: dict[str, Any]) -> None:
        for name, value in event.get("headers", {}).items():
            lowered = name.lower()
            if lowered == "set-cookie":
                for line in value.split("\n"):
                    self._learn_cookie(line.split(";", 1)[0])
            elif lowered == "cookie":
                for pair in value.split(";"):
                    self._learn_cookie(pair)
            elif lowered in ("authorization", "proxy-authorization"):
                self.learn(value.partition(" ")[2] or value)

    def _learn_cookie(self, pair: str) -> None:
        value = pair.partition("=")[2].strip()
        # Shorter values ("1", "dark", "en-US") are words of the page as well.
        if len(value) >= 8:
            self.learn(value)


def _may_set_password(call: CallEntry) -> bool:
    name = call.name.lower()
    return any(word in name for word in _TYPING) or (
        "eval" in name and any(word in call.arguments for word in _SETTING)
    )


def _console_text(argument: Mapping[str, Any]) -> str:
    if "value" in argument:
        value = argument["value"]
        return value if isinstance(value, str) else repr(value)
    return str(argument.get("description") or argument.get("unserializableValue") or argument.get("type", ""))
