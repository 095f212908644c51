"""The parts of the embedded server that need neither socket nor browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_chaser.emulator import BrowserNotFound, EmulatorSettings, InstallFailed, SettingsError, find_browser
from pytest_chaser.emulator import _browser as browser
from pytest_chaser.emulator._channel import refuse
from pytest_chaser.emulator._phone import HEIGHT, WIDTH, Phone, read_version
from pytest_chaser.emulator._preview import Tokens, input_calls
from pytest_chaser.emulator._settings import parse_range
from pytest_chaser.emulator._stub import answer_cdp, blank_png


@pytest.mark.parametrize(
    "bad",
    [
        {"ready_delay": (5.0, 1.0)},
        {"ready_delay": (-1.0, 1.0)},
        {"invalid_body_status": 404},
        {"quota": -1},
        {"warm": -1},
        {"android_limits": frozenset({"tabs"})},
        {"keys": ("",)},
        {"preview_fps": 0},
    ],
    ids=lambda bad: next(iter(bad)),
)
def test_a_setting_that_cannot_be_used_is_named(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        EmulatorSettings(**bad)  # type: ignore[arg-type]


def test_settings_do_not_show_their_keys() -> None:
    assert "s3cret" not in repr(EmulatorSettings(keys=("s3cret",)))


@pytest.mark.parametrize(("text", "expected"), [("2", (2, 2)), ("15-25", (15, 25)), ("0.5-1", (0.5, 1))])
def test_a_range_is_one_number_or_two(text: str, expected: tuple[float, float]) -> None:
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["", "x", "5-1", "-1", "1-2-3"])
def test_a_bad_range_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_range(text)


@pytest.mark.parametrize(
    ("text", "brand", "version"),
    [
        ("Chromium 156.0.8078.79 built on Debian GNU/Linux 12 (bookworm)", "Chromium", "156.0.8078.79"),
        ("Google Chrome 137.0.1.2 ", "Google Chrome", "137.0.1.2"),
        ("Microsoft Edge 140.0.3485.14", "Microsoft Edge", "140.0.3485.14"),
    ],
)
def test_the_version_of_each_browser_is_read(text: str, brand: str, version: str) -> None:
    assert read_version(text) == Phone(version=version, brand=brand)


def test_something_else_is_no_browser() -> None:
    assert read_version("Mozilla Firefox 130.0") is None


def test_device_user_agent_and_client_hints_name_the_same_chrome() -> None:
    phone = Phone("156.0.8078.79")
    assert phone.device == "Emulated Android - Chromium 156 (Mobile, embedded server)"
    assert "Chrome/156.0.0.0 Mobile" in phone.user_agent
    hints = phone.user_agent_override()["userAgentMetadata"]
    assert {"brand": "Chromium", "version": "156"} in hints["brands"]
    assert (hints["platform"], hints["mobile"]) == ("Android", True)
    assert f"--user-agent={phone.user_agent}" in phone.flags(headed=False)


def test_a_headed_browser_has_a_window() -> None:
    assert "--headless=new" in Phone("156.0").flags(headed=False)
    assert "--headless=new" not in Phone("156.0").flags(headed=True)


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_the_named_browser_is_taken_before_the_variable_and_the_path(tmp_path: Path) -> None:
    named, variable = executable(tmp_path / "named"), executable(tmp_path / "variable")
    on_path = executable(tmp_path / "bin" / "chromium")
    environ = {"CHASER_CHROME": str(variable), "PATH": str(on_path.parent)}
    assert find_browser(str(named), environ) == named
    assert find_browser(None, environ) == variable
    assert find_browser(None, {"PATH": str(on_path.parent)}) == on_path


@pytest.mark.parametrize("source", ["setting", "variable"])
def test_a_named_browser_that_is_not_there_is_not_replaced_by_another(tmp_path: Path, source: str) -> None:
    executable(tmp_path / "chromium")
    missing = str(tmp_path / "missing")
    environ = {"PATH": str(tmp_path)} | ({"CHASER_CHROME": missing} if source == "variable" else {})
    with pytest.raises(BrowserNotFound, match="chaser install-browser"):
        find_browser(missing if source == "setting" else None, environ)


def test_no_browser_at_all_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "usual_places", lambda system, environ: [tmp_path / "none"])
    with pytest.raises(BrowserNotFound, match=r"chaser install-browser.*CHASER_CHROME"):
        find_browser(None, {"PATH": str(tmp_path)})


def test_the_usual_places_of_each_system_are_known() -> None:
    mac = list(browser.usual_places("darwin", {"HOME": "/Users/me"}))
    assert Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome") in mac
    windows = list(browser.usual_places("win32", {"PROGRAMFILES": "C:/Programs"}))
    assert Path("C:/Programs/Microsoft/Edge/Application/msedge.exe") in windows
    assert Path("/opt/google/chrome/chrome") in list(browser.usual_places("linux", {}))


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing on it, and no browser anywhere."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHASER_CHROME", raising=False)
    monkeypatch.setattr(browser, "usual_places", lambda system, environ: [])
    monkeypatch.setattr(browser, "OS_RELEASE", tmp_path / "none")
    return tmp_path


def test_installing_without_a_package_manager_says_what_to_do(bare_machine: Path) -> None:
    with pytest.raises(InstallFailed, match="by hand"):
        browser.install_browser()


def test_installing_without_root_and_sudo_gives_the_commands(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(bare_machine / "apt-get")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(InstallFailed, match="sudo apt-get update && sudo apt-get install"):
        browser.install_browser()


def test_apt_updates_its_lists_before_it_installs(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = bare_machine / "chromium"
    apt = executable(bare_machine / "apt-get")
    apt.write_text(f"#!/bin/sh\n[ $1 = update ] || {{ echo '#!/bin/sh' > {made}; /bin/chmod +x {made}; }}\n")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    said: list[str] = []
    assert browser.install_browser(said.append) == made
    assert said == ["$ apt-get update", "$ apt-get install --yes --no-install-recommends chromium"]


def test_ubuntu_gets_chrome_since_its_chromium_is_a_snap(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, package = bare_machine / "google-chrome", bare_machine / "package.deb"
    package.write_text("a package")
    (bare_machine / "os-release").write_text("NAME=Ubuntu\nID=ubuntu\n")
    apt = executable(bare_machine / "apt-get")
    apt.write_text(f'#!/bin/sh\n[ $1 = update ] || {{ /bin/cp "$4" {made} && /bin/chmod +x {made}; }}\n')
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(browser, "OS_RELEASE", bare_machine / "os-release")
    monkeypatch.setattr(browser, "CHROME_DEB", package.as_uri())
    assert browser.install_browser(lambda line: None) == made
    assert made.read_text() == "a package"


def test_ubuntu_on_another_processor_is_told_what_to_do(bare_machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (bare_machine / "os-release").write_text("ID=ubuntu\n")
    executable(bare_machine / "apt-get")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(browser, "OS_RELEASE", bare_machine / "os-release")
    with pytest.raises(InstallFailed, match="aarch64"):
        browser.install_browser(lambda line: None)


def test_a_failing_package_manager_is_an_error_with_its_command(
    bare_machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(bare_machine / "apt-get").write_text("#!/bin/sh\nexit 100\n")
    monkeypatch.setattr("os.geteuid", lambda: 0)
    with pytest.raises(InstallFailed, match=r"apt-get update.*status 100"):
        browser.install_browser(lambda line: None)


def test_a_browser_that_is_there_is_not_installed_again(bare_machine: Path) -> None:
    there = executable(bare_machine / "chromium")
    assert browser.install_browser() == there


def test_a_token_is_good_for_its_session_and_its_time_only() -> None:
    tokens = Tokens()
    token = tokens.mint("sess_a", 1000)
    assert tokens.check(token, "sess_a", 999)
    assert not tokens.check(token, "sess_a", 1000)
    assert not tokens.check(token, "sess_b", 0)
    assert not Tokens().check(token, "sess_a", 0)


@pytest.mark.parametrize("token", ["", ".", "e30.", "é.é", "eyJ.0000"])
def test_a_made_up_token_is_refused(token: str) -> None:
    assert not Tokens().check(token, "sess_a", 0)


def test_a_tap_is_a_touch_at_its_fraction_of_the_screen() -> None:
    start, end = input_calls(json.dumps({"type": "tap", "x": 0.5, "y": 0.25}))
    point = {"x": WIDTH / 2, "y": HEIGHT / 4}
    assert start == ("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    assert end == ("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


@pytest.mark.parametrize(
    ("message", "methods"),
    [
        ({"type": "click", "x": 0, "y": 1}, ["Input.dispatchMouseEvent"] * 2),
        ({"type": "scroll", "x": 0.5, "y": 0.5, "dy": 100}, ["Input.dispatchMouseEvent"]),
        ({"type": "text", "text": "é"}, ["Input.insertText"]),
        ({"type": "key", "key": "Enter"}, ["Input.dispatchKeyEvent"] * 2),
    ],
    ids=lambda value: value["type"] if isinstance(value, dict) else "",
)
def test_each_kind_of_input_becomes_its_calls(message: dict[str, object], methods: list[str]) -> None:
    assert [method for method, _ in input_calls(json.dumps(message))] == methods


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "null", '{"type": "tap"}', '{"type": "tap", "x": 2, "y": 0}', '{"type": "key", "key": "F1"}',
     '{"type": "tap", "x": "a", "y": 0}', '{"type": "tap", "x": NaN, "y": 0}', '{"type": "fly"}'],
)  # fmt: skip
def test_malformed_input_is_nothing(text: str) -> None:
    assert input_calls(text) == []


@pytest.mark.parametrize(
    ("method", "limits", "refused"),
    [
        ("Target.createBrowserContext", {"contexts"}, "Browser context management is not supported."),
        ("Target.createTarget", {"contexts"}, None),
        ("Target.createTarget", {"targets", "contexts"}, "Not supported"),
        ("Page.navigate", {"targets", "contexts"}, None),
    ],
)
def test_a_phone_refuses_what_its_limits_say(method: str, limits: set[str], refused: str | None) -> None:
    answer = refuse(json.dumps({"id": 7, "method": method, "sessionId": "S"}), frozenset(limits))
    if refused is None:
        assert answer is None
    else:
        assert answer is not None
        assert json.loads(answer) == {"id": 7, "error": {"code": -32000, "message": refused}, "sessionId": "S"}


def test_a_limit_that_is_only_mentioned_refuses_nothing() -> None:
    text = json.dumps({"id": 1, "method": "Runtime.evaluate", "params": {"expression": "'Target.createTarget'"}})
    assert refuse(text, frozenset({"targets"})) is None


def test_a_stub_answers_its_version_and_says_what_it_is() -> None:
    version = json.loads(answer_cdp('{"id": 1, "method": "Browser.getVersion"}') or "")
    assert (version["id"], version["result"]["product"]) == (1, "Stub/0")
    other = json.loads(answer_cdp('{"id": 2, "method": "Page.navigate"}') or "")
    assert "stub session" in other["error"]["message"]
    assert answer_cdp("not json") is None


def test_the_blank_picture_is_a_png_of_its_size() -> None:
    picture = blank_png(30, 40)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert picture[16:24] == (30).to_bytes(4, "big") + (40).to_bytes(4, "big")
