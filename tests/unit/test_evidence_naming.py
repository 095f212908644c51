"""Names of folders and files: safe everywhere, different for different tests, whole when they appear."""

from __future__ import annotations

import re
import threading
from pathlib import Path

import pytest

from pytest_chaser.evidence._naming import (
    file_name,
    folder_name,
    forget_earlier_runs,
    shown_path,
    slug,
    write_atomically,
)

NODE_IDS = [
    "tests/test_login.py::test_sign_in",
    "tests/test_login.py::test_sign_in[chromium-1]",
    "tests/test-login.py::test_sign_in",
    "tests/test_login.py::TEST_sign_in",
    "tests/test_login.py::test_sign_in[日本語]",
    "tests/test_login.py::test_sign_in[日本]",
    "tests/test_login.py::test_sign_in[émoji 🎉]",
    "tests/test_login.py::test_sign_in[../../etc/passwd]",
    'tests/test_login.py::test_sign_in[a<b>c:"d"|e?f*g]',
    "tests/test_login.py::test_sign_in[line\nbreak]",
    "tests/test_login.py::test_sign_in[\udcff]",
    f"tests/test_login.py::test_sign_in[{'x' * 5000}]",
    f"tests/test_login.py::test_sign_in[{'x' * 5001}]",
    "con",
    "...",
    "",
]


@pytest.mark.parametrize("node_id", NODE_IDS, ids=ascii)
def test_a_folder_name_is_safe_on_every_system(node_id: str) -> None:
    name = folder_name(node_id, attempt=3)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
    assert len(name) <= 110
    assert name.endswith("-retry2")
    assert name.split("-")[0].lower() not in {"con", "nul"} or "-" in name


def test_different_tests_have_different_folders_also_where_upper_and_lower_case_are_one() -> None:
    names = {folder_name(node_id).lower() for node_id in NODE_IDS}
    assert len(names) == len(NODE_IDS)


def test_each_attempt_has_a_folder_of_its_own() -> None:
    names = [folder_name("tests/test_a.py::test", attempt) for attempt in (1, 2, 3)]
    assert len(set(names)) == 3
    assert names[1] == f"{names[0]}-retry1"


@pytest.mark.parametrize("name", ["CON", "nul", "com1", "LPT9"])
def test_a_reserved_name_of_windows_is_changed(name: str) -> None:
    assert slug(name).lower() != name.lower()
    assert file_name(name, ".txt").lower() != f"{name.lower()}.txt"


def test_a_long_name_keeps_its_end_which_names_the_test() -> None:
    assert slug("folder/" * 40 + "test_the_end").endswith("test_the_end")


@pytest.mark.parametrize(
    ("session", "phase", "expected"),
    [(1, None, "screenshot.png"), (2, None, "screenshot-2.png"), (2, "teardown", "screenshot-2-teardown.png")],
    ids=["first", "second session", "second failing phase"],
)
def test_files_of_several_sessions_and_phases_lie_side_by_side(session: int, phase: str | None, expected: str) -> None:
    assert file_name("screenshot", ".png", session=session, phase=phase) == expected


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "piece.txt"
    contents = [bytes([65 + number]) * 300_000 for number in range(4)]
    write_atomically(path, contents[0])
    writers = [
        threading.Thread(target=lambda content=content: [write_atomically(path, content) for _ in range(20)])
        for content in contents
    ]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(path.read_bytes())
    for writer in writers:
        writer.join()
    assert seen <= set(contents)
    assert [entry.name for entry in tmp_path.iterdir()] == ["piece.txt"]


def test_a_test_forgets_its_own_earlier_runs_and_nothing_else(tmp_path: Path) -> None:
    own = [tmp_path / folder_name("test_a.py::test_one", attempt) for attempt in (1, 2)]
    other = tmp_path / folder_name("test_a.py::test_two")
    stray = tmp_path / "notes"
    for folder in (*own, other, stray):
        folder.mkdir()
        (folder / "file").write_text("x")
    forget_earlier_runs(tmp_path, "test_a.py::test_one")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([other.name, "notes"])


def test_a_path_is_shown_relative_to_where_pytest_was_started(tmp_path: Path) -> None:
    assert shown_path(tmp_path / "out" / "a.png", tmp_path) == "out/a.png"
    assert shown_path(tmp_path / "a.png", tmp_path / "sub") == "../a.png"
