"""The marker `chaser`: what a single test, class or module changes of the run's settings.

`@pytest.mark.chaser(ttl=120)` on a module, a class and a function are read together: for each key the nearest wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from . import _parsers as p
from ._config import MARKER_KEYS, Settings, parse_option
from ._exceptions import ConfigurationError


class Mark(Protocol):
    """What is read of a `pytest.Mark`."""

    @property
    def args(self) -> tuple[Any, ...]: ...
    @property
    def kwargs(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True)
class TestOptions:
    """What holds for one test: the marker's values where it has them, else the run's."""

    # Python classes whose name starts with Test are collected unless they say no.
    __test__ = False

    ttl: int | None
    profile: str | None
    scope: str
    isolation: str
    screenshot: str
    trace: str
    fail_on: frozenset[str]
    viewport: Mapping[str, int] | None = None
    only: str | None = None
    marked: frozenset[str] = frozenset()


def read_marks(marks: Iterable[Mark], settings: Settings) -> TestOptions:
    """Read a test's markers, nearest first; an unknown key or a bad value is a ConfigurationError."""
    given: dict[str, Any] = {}
    for mark in marks:
        for key, value in _parse(mark).items():
            given.setdefault(key, value)
    values: dict[str, Any] = {key: given.get(key, getattr(settings, key, None)) for key in MARKER_KEYS}
    return TestOptions(**values, marked=frozenset(given))


def _parse(mark: Mark) -> dict[str, Any]:
    if mark.args:
        raise ConfigurationError(
            f"@pytest.mark.chaser takes keyword arguments only ({', '.join(MARKER_KEYS)}), got {mark.args[0]!r}"
        )
    values = {}
    for key, value in mark.kwargs.items():
        option = MARKER_KEYS.get(key)
        if option is None:
            raise ConfigurationError(
                f"@pytest.mark.chaser({key}=...): there is no such key; the keys are {', '.join(MARKER_KEYS)}"
            )
        values[key] = parse_option(option, p.as_text(value), f"@pytest.mark.chaser({key}=...)")
    return values
