"""How many tests of the run will still need a session."""

from __future__ import annotations


class Demand:
    """Counted once for the whole run, less the tests that have started. Every worker reports the same total."""

    def __init__(self) -> None:
        self._total = 0
        self._started: set[str] = set()
        self._ended = False

    def set_total(self, total: int) -> None:
        """Take the number of collected tests that will need a session; saying it again changes nothing."""
        self._total = max(self._total, total)

    def started(self, test: str) -> None:
        """Count a test off, once: a rerun of it is no part of the demand and is served all the same."""
        self._started.add(test)

    def has_started(self, test: str) -> bool:
        """Return whether the test was counted off."""
        return test in self._started

    def end(self) -> None:
        """No test that has not started will: `-x`, `--maxfail`, an interrupt, the end of the run."""
        self._ended = True

    @property
    def remaining(self) -> int:
        """Tests that have not started and will."""
        return 0 if self._ended else max(0, self._total - len(self._started))

    @property
    def counted(self) -> int:
        """Tests that have started so far."""
        return len(self._started)
