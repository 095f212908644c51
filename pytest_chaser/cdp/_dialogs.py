"""Dialogs that cannot hang a test.

A JavaScript dialog blocks its page until somebody answers. Where neither a handler nor a wait of the test is there to
do so it is dismissed (a `beforeunload` is accepted, since the test wants to leave); one that they leave open for too
long is dismissed with an error that names them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyppeteer.dialog import Dialog as PyppeteerDialog
from pyppeteer.errors import NetworkError

from ._events import ANSWER_PATIENCE, handler_name
from ._sessions import lenient


class Dialog(PyppeteerDialog):
    """An alert, confirm, prompt or beforeunload that waits for an answer."""

    def __init__(self, client: Any, event: dict[str, Any], fault: Callable[[str], None]) -> None:
        super().__init__(client, event["type"], event.get("message", ""), event.get("defaultPrompt") or "")
        self._fault = fault
        self._handlers: list[Callable[..., Any]] = []
        self._running = 0
        self._failed = False
        self._waited_for = False

    def handler_started(self, handler: Callable[..., Any]) -> None:
        self._handlers.append(handler)
        self._running += 1

    def handler_ended(self, handler: Callable[..., Any], error: BaseException | None) -> None:
        self._running -= 1
        self._failed = self._failed or error is not None
        if self._handled or self._running:
            return
        if self._failed:
            self._get_rid()
        else:
            self._client._loop.call_later(ANSWER_PATIENCE, self._forgotten)

    def leave_to_test(self) -> None:
        """A wait of the test was for this dialog: the test has as long to answer it as a handler.

        But for one that a call of the test itself has opened: that returns only once somebody has answered.
        """
        if not self._client.is_called:
            self._waited_for = True
            self._client._loop.call_later(ANSWER_PATIENCE, self._forgotten)

    def dispatched(self) -> None:
        """All handlers have been called; some may still run."""
        if not self._handlers and not self._waited_for and not self._handled:
            self._get_rid()

    def _forgotten(self) -> None:
        if not self._handled and not self._running and self._client._connection is not None:
            self._fault(
                f"the {self.type} {self.message!r} was never answered: {self._culprits()} without accept() or "
                f"dismiss(), and {ANSWER_PATIENCE:g} s have passed"
            )
            self._get_rid()

    def _culprits(self) -> str:
        if self._handlers:
            return f"handler {', '.join(handler_name(handler) for handler in self._handlers)} returned"
        return "the test waited for it and went on"

    def _get_rid(self) -> None:
        self._handled = True
        answer = self._client.send("Page.handleJavaScriptDialog", {"accept": self.type == "beforeunload"})
        self._client._loop.create_task(lenient(answer))

    async def accept(self, promptText: str = "") -> None:
        """Press OK, with this text in a prompt."""
        await self._answer({"accept": True, "promptText": promptText})

    async def dismiss(self) -> None:
        """Press Cancel, or close an alert."""
        await self._answer({"accept": False})

    async def _answer(self, params: dict[str, Any]) -> None:
        if self._handled:
            raise NetworkError(f"The {self.type} is already handled.")
        self._handled = True
        await self._client.send("Page.handleJavaScriptDialog", params)
