"""What a test may ask about its page: the objects behind the fixtures `chaser_console` and `chaser_network`.

Both kinds of tests use them without `await`: they are read from what was recorded, after a short wait for what the
page has said already.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ._recorder import Recorder
from ._records import ConsoleEntry, NetworkEntry


class Console:
    """The console of the test's pages, uncaught errors included, oldest first.

    Iterating gives entries with `level`, `text`, `url`, `line` and `at`. At most the newest 2,000 lines and 500
    errors of each page are kept.
    """

    def __init__(self, recorders: Callable[[], list[Recorder]], flush: Callable[[], None]) -> None:
        self._recorders = recorders
        self._flush = flush

    def __iter__(self) -> Iterator[ConsoleEntry]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    def __repr__(self) -> str:
        return f"<Console: {len(self.messages)} messages, {len(self.errors)} errors>"

    @property
    def messages(self) -> list[ConsoleEntry]:
        """Everything."""
        self._flush()
        entries = [entry for recorder in self._recorders() for entry in recorder.console]
        return sorted(entries, key=lambda entry: entry.at)

    @property
    def errors(self) -> list[ConsoleEntry]:
        """What was written with `console.error` or a failed `console.assert`, the browser's own errors included."""
        return [entry for entry in self.messages if entry.level in ("error", "assert")]

    @property
    def warnings(self) -> list[ConsoleEntry]:
        """What was written with `console.warn`, the browser's own warnings included."""
        return [entry for entry in self.messages if entry.level == "warning"]

    @property
    def page_errors(self) -> list[ConsoleEntry]:
        """Exceptions and rejected promises that nothing in the page caught."""
        return [entry for entry in self.messages if entry.level == "page-error"]

    def find(self, pattern: str) -> list[ConsoleEntry]:
        """Return the messages in whose text the regular expression is found."""
        return [entry for entry in self.messages if re.search(pattern, entry.text)]


class Network:
    """The requests of the test's pages, in the order of sending.

    Iterating gives entries with `method`, `url`, `kind`, `status`, `failure`, `duration`, `body`, `request_headers`,
    `response_headers`. At most the newest 2,000 and 500 failed ones of each page are kept.
    """

    def __init__(self, recorders: Callable[[], list[Recorder]], flush: Callable[[], None]) -> None:
        self._recorders = recorders
        self._flush = flush

    def __iter__(self) -> Iterator[NetworkEntry]:
        return iter(self.requests)

    def __len__(self) -> int:
        return len(self.requests)

    def __repr__(self) -> str:
        return f"<Network: {len(self.requests)} requests, {len(self.failed)} failed>"

    @property
    def requests(self) -> list[NetworkEntry]:
        """Everything, also what is still on its way."""
        self._flush()
        entries = [entry for recorder in self._recorders() for entry in recorder.network.entries()]
        return sorted(entries, key=lambda entry: entry.at)

    @property
    def failed(self) -> list[NetworkEntry]:
        """Requests that got no answer; those that the page gave up itself are not among them."""
        return [entry for entry in self.requests if entry.failed]

    @property
    def errors(self) -> list[NetworkEntry]:
        """Requests that were answered with a status of 400 or more."""
        return [entry for entry in self.requests if entry.status >= 400]

    def find(self, pattern: str, *, method: str | None = None) -> list[NetworkEntry]:
        """Return the requests in whose address the regular expression is found, of one method if it is given."""
        return [
            entry
            for entry in self.requests
            if re.search(pattern, entry.url) and (method is None or entry.method == method.upper())
        ]
