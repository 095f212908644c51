"""The table of options: where values come from, which of them wins, and what is told of one that cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_chaser import ConfigurationError
from pytest_chaser._config import BY_NAME, OPTIONS, Option, Settings, Sources, is_loopback, read_state_dir, resolve

ROOT = Path("/suite")
NOTHING: Mapping[str, str] = {}


def settings(
    line: Mapping[str, str] = NOTHING, environ: Mapping[str, str] = NOTHING, ini: Mapping[str, str] = NOTHING
) -> Settings:
    def command_line(option: Option) -> str | None:
        return line.get(option.name)

    return resolve(Sources(command_line, environ, lambda option: ini.get(option.name)), ROOT)


@pytest.mark.parametrize(
    ("line", "environ", "ini", "expected"),
    [
        ({"ttl": "61"}, {"CHASER_TTL": "62"}, {"ttl": "63"}, 61),
        ({}, {"CHASER_TTL": "62"}, {"ttl": "63"}, 62),
        ({}, {}, {"ttl": "63"}, 63),
        ({}, {"CHASER_TTL": ""}, {}, None),
    ],
    ids=["command line", "environment", "ini", "default"],
)
def test_the_first_source_that_has_an_option_wins(
    line: dict[str, str], environ: dict[str, str], ini: dict[str, str], expected: int | None
) -> None:
    assert settings(line, environ, ini).ttl == expected


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("ttl", "3600", 3600),
        ("look_ahead", "auto", "auto"),
        ("look_ahead", "0", 0),
        ("fail_on", "page-error, http-5xx", frozenset({"page-error", "http-5xx"})),
        ("fail_on", "off", frozenset()),
        ("slowmo", "0", 0.0),
        ("headed", "yes", True),
        ("output", "somewhere", ROOT / "somewhere"),
        ("redact", "X-Token\n session ", ("X-Token", "session")),
    ],
)
def test_a_value_is_parsed_once(name: str, text: str, value: Any) -> None:
    assert getattr(settings(ini={name: text}), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mode", "clowd"),
        ("ttl", "59"),
        ("ttl", "3601"),
        ("ttl", "1e3"),
        ("ready_timeout", "0"),
        ("ready_timeout", "inf"),
        ("slowmo", "-1"),
        ("max_sessions", "0"),
        ("look_ahead", "-1"),
        ("fail_on", "nothing"),
        ("headed", "perhaps"),
        ("profile", "a\nb"),
        ("ignore", "("),
    ],
)
def test_a_bad_value_is_told_with_its_option_its_place_and_the_accepted_form(name: str, text: str) -> None:
    option = BY_NAME[name]
    for environ, ini, place in (
        ({option.variable: text}, {}, f"environment variable {option.variable}"),
        ({}, {name: text}, f"ini key {option.ini}"),
    ):
        with pytest.raises(ConfigurationError) as caught:
            settings(environ=environ, ini=ini)
        message = str(caught.value)
        assert message.startswith(f"{place}: {text!r} is not accepted; give {option.parser.accepts}")
        assert option.switch in message or not option.cli


def test_a_key_makes_auto_the_cloud() -> None:
    assert settings().mode == "local"
    assert settings(environ={"CHASER_KEY": "key"}).mode == "cloud"
    assert settings({"mode": "local"}, {"CHASER_KEY": "key"}).mode == "local"


def test_the_cloud_without_a_key_is_refused_with_the_remedy() -> None:
    with pytest.raises(ConfigurationError, match=r"CHASER_KEY.*--chaser-mode local"):
        settings({"mode": "cloud"})


def test_a_window_of_a_cloud_browser_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no window here"):
        settings({"headed": "true"}, {"CHASER_KEY": "key"})


def test_a_key_that_no_header_can_carry_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(environ={"CHASER_KEY": "secret part\nother"})
    assert "secret" not in str(caught.value)


def test_the_settings_do_not_change() -> None:
    with pytest.raises(AttributeError, match="mode"):
        settings().mode = "cloud"


def test_the_settings_do_not_show_the_key() -> None:
    assert "sesame" not in repr(settings(environ={"CHASER_KEY": "sesame-0123456789"}))


@pytest.mark.parametrize(
    "url", ["api.chaser.sh", "ftp://api.chaser.sh", "https://", "http://host:port", "http://h?q=1"]
)
def test_an_api_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="CHASER_API_URL"):
        settings(environ={"CHASER_API_URL": url})


def test_the_api_address_loses_its_trailing_slash() -> None:
    assert settings(environ={"CHASER_API_URL": "http://127.0.0.1:8/"}).api_url == "http://127.0.0.1:8"
    assert settings().api_url == "https://api.chaser.sh"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:8000", True),
        ("http://127.1.2.3/", True),
        ("http://[::1]:80/", True),
        ("http://shop.localhost", True),
        ("https://shop.example", False),
        ("http://[bad", False),
    ],
)
def test_loopback_addresses_are_known(url: str, expected: bool) -> None:
    assert is_loopback(url) is expected


def test_the_state_folder_is_the_users_unless_it_is_named() -> None:
    assert read_state_dir({"CHASER_STATE_DIR": "/state"}) == Path("/state")
    assert read_state_dir({}).name == "pytest-chaser"


def test_every_option_has_a_field_and_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(OPTIONS)
    for option in OPTIONS:
        assert option.name in Settings.__annotations__
        assert option.help[0].islower()
        assert not option.help.endswith(".")
