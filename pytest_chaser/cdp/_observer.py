"""Who wants to know which calls a test makes to its page: the seam to whatever records them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol


class Observer(Protocol):
    """Set as `page.observer`; told what its page calls and is made of. Its methods neither raise nor wait."""

    def listen(self, client: Any) -> None:
        """Take note of a frame in a process of its own: its session, before it is let run."""
        ...

    def origin(self) -> Any:
        """Note where the test is, on the thread that calls the page; handed on to `call_started`."""
        ...

    def call_started(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], origin: Any) -> Any:
        """Note the start of a call, on the loop thread; what it returns is handed to `call_ended`."""
        ...

    def call_ended(self, call: Any, error: BaseException | None = None) -> None:
        """Note the end of a call, on the loop thread, before the test can make the next one."""
        ...
