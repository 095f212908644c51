"""The marker: the nearest one wins key by key, and what cannot be used is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_chaser import ConfigurationError
from pytest_chaser._config import Sources, resolve
from pytest_chaser._marker import TestOptions, read_marks

SETTINGS = resolve(
    Sources(lambda option: "300" if option.name == "ttl" else None, {}, lambda option: None), Path("/suite")
)


def read(*marks: pytest.MarkDecorator) -> TestOptions:
    """Read marks, the nearest first."""
    return read_marks([mark.mark for mark in marks], SETTINGS)


def test_without_a_marker_the_runs_settings_hold() -> None:
    options = read()
    assert (options.ttl, options.scope, options.screenshot) == (300, "test", "only-on-failure")
    assert options.marked == frozenset()


def test_the_nearest_marker_wins_key_by_key() -> None:
    options = read(pytest.mark.chaser(ttl=60), pytest.mark.chaser(ttl=120, scope="worker"))
    assert (options.ttl, options.scope) == (60, "worker")
    assert options.marked == {"ttl", "scope"}


@pytest.mark.parametrize("viewport", [(1280, 720), [1280, 720], "1280x720", {"width": 1280, "height": 720}])
def test_a_viewport_has_many_forms(viewport: Any) -> None:
    assert read(pytest.mark.chaser(viewport=viewport)).viewport == {"width": 1280, "height": 720}


def test_a_list_of_gates_may_be_a_list() -> None:
    both = frozenset({"page-error", "http-5xx"})
    assert read(pytest.mark.chaser(fail_on=["page-error", "http-5xx"])).fail_on == both
    assert read(pytest.mark.chaser(fail_on="page-error,http-5xx")).fail_on == both


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"tll": 60}, "there is no such key; the keys are scope, "),
        ({"output": "x"}, "there is no such key"),
        ({"ttl": 5}, "'5' is not accepted; give a whole number of seconds from 60 to 3600"),
        ({"viewport": (0, 5)}, "WIDTHxHEIGHT"),
        ({"viewport": {"width": 1}}, "WIDTHxHEIGHT"),
        ({"scope": None}, "one of test, worker"),
        ({"only": "clouds"}, "one of cloud, local"),
    ],
)
def test_what_cannot_be_used_is_told_with_the_key(keywords: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(pytest.mark.chaser(**keywords))
    assert words in str(caught.value)
    assert f"@pytest.mark.chaser({next(iter(keywords))}=...)" in str(caught.value)


def test_positional_arguments_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="keyword arguments only"):
        read(pytest.mark.chaser(60))
