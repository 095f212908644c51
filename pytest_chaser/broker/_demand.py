"""How many tests of the run will still need a session."""

from __future__ import annotations


class Demand:
    """Counted once for the whole run, less the tests that have started. Every worker reports the same total."""

    def __init__(self) -> None:
        self._total = 0
        self._counted: set[str] = set()
        self._started: set[str] = set()
        self._asked: set[str] = set()
        self._about_to_ask: dict[str, str] = {}
        self._ended = False

    def set_total(self, total: int) -> None:
        """Take the number of collected tests that will need a session; saying it again changes nothing."""
        self._total = max(self._total, total)

    def started(self, test: str, holder: str | None = None) -> None:
        """Count a test off, once: a rerun of it is no part of the demand and is served all the same.

        Until its holder asks, or starts another test, the session it is about to ask for is still needed.
        """
        self._counted.add(test)
        self._started.add(test)
        if holder is not None:
            self._about_to_ask.pop(holder, None)
            if test not in self._asked:
                self._about_to_ask[holder] = test

    def asked(self, test: str | None, holder: str) -> None:
        """Take a request for a session, for a test or for none."""
        self._about_to_ask.pop(holder, None)
        if test is not None:
            self._counted.add(test)
            self._asked.add(test)

    def has_started(self, test: str) -> bool:
        """Return whether a worker has said that the test runs; one that is prepared for has only asked."""
        return test in self._started

    def gone(self, holder: str) -> None:
        """Forget what a holder was about to ask for."""
        self._about_to_ask.pop(holder, None)

    def nobody_asks(self) -> None:
        """No started test will ask any more: one that used the client alone never did."""
        self._about_to_ask.clear()

    def end(self) -> None:
        """No test that has not started will: `-x`, `--maxfail`, an interrupt, the end of the run."""
        self._ended = True

    @property
    def remaining(self) -> int:
        """Tests that have not started and will."""
        return 0 if self._ended else max(0, self._total - len(self._counted))

    @property
    def about_to_ask(self) -> int:
        """Tests that have started and not asked yet."""
        return len(self._about_to_ask)

    @property
    def counted(self) -> int:
        """Tests that have started or asked so far."""
        return len(self._counted)
