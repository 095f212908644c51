"""What needs a view, how values are converted, and how tracebacks are shortened."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

import pyppeteer.page
import pytest
from pyppeteer.errors import TimeoutError as PyppeteerTimeout
from pyppeteer.execution_context import JSHandle
from pyppeteer.network_manager import Request

from pytest_chaser.cdp import Page, PageOptions
from pytest_chaser.cdp._deadlines import call_limit, limit_here
from pytest_chaser.cdp._locator import Locator
from pytest_chaser.cdp._proxy import proxy_for
from pytest_chaser.cdp._tracebacks import shorten
from pytest_chaser.cdp._wrapping import convert, is_live


class Color(enum.Enum):
    RED = 1


@dataclass
class Plain:
    value: int


@pytest.mark.parametrize(
    "kind", [pyppeteer.page.Page, Page, JSHandle, Request, Locator], ids=lambda kind: kind.__name__
)
def test_what_lives_on_the_loop_needs_a_view(kind: type) -> None:
    assert is_live(kind)


@pytest.mark.parametrize(
    "kind", [str, dict, int, type(None), Color, Plain, PageOptions, PyppeteerTimeout, object, type(len)],
    ids=lambda kind: kind.__name__,
)  # fmt: skip
def test_plain_values_need_none(kind: type) -> None:
    assert not is_live(kind)


def double(value: Any) -> Any:
    return Plain(value.value * 2) if isinstance(value, Plain) else value


def test_values_are_converted_in_every_container() -> None:
    value = {"a": [Plain(1), (Plain(2), 3)], "b": {"c": Plain(4)}}
    assert convert(value, double) == {"a": [Plain(2), (Plain(4), 3)], "b": {"c": Plain(8)}}
    assert value["b"] == {"c": Plain(4)}


@pytest.mark.parametrize("value", [[1, [2, "x"]], {"a": {"b": None}}, (), {1, 2}, "text", b"bytes", 1.5, None])
def test_a_value_without_anything_to_convert_stays_the_same_object(value: Any) -> None:
    assert convert(value, double) is value


def test_a_call_limit_holds_inside_and_the_nearest_wins() -> None:
    assert limit_here(60.0) == 60.0
    with call_limit(None):
        assert limit_here(60.0) is None
        with call_limit(5.0):
            assert limit_here(60.0) == 5.0
        assert limit_here(60.0) is None
    assert limit_here(None) is None


def test_a_traceback_keeps_the_lines_of_the_user_only() -> None:
    def predicate(value: Any) -> Any:
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught:
        convert([object()], predicate)
    names = []
    step = shorten(caught.value).__traceback__
    while step is not None:
        names.append(step.tb_frame.f_code.co_name)
        step = step.tb_next
    assert names == ["test_a_traceback_keeps_the_lines_of_the_user_only", "predicate"]


@pytest.mark.parametrize(
    ("environment", "secure", "proxy"),
    [
        ({}, True, None),
        ({"HTTPS_PROXY": "http://proxy:3128"}, True, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://proxy:3128"}, False, None),
        ({"HTTP_PROXY": "http://proxy:3128"}, False, "http://proxy:3128"),
        ({"ALL_PROXY": "http://all:1"}, True, "http://all:1"),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "cdp.chaser.sh"}, True, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": ".chaser.sh"}, True, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "*"}, True, None),
        ({"HTTPS_PROXY": "http://proxy:3128", "NO_PROXY": "other.sh"}, True, "http://proxy:3128"),
    ],
)
def test_the_environment_names_the_proxy(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], secure: bool, proxy: str | None
) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_for("cdp.chaser.sh", 443, secure) == proxy
