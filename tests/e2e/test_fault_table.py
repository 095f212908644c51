"""`docs/faults.md`: every row of its table as a real pytest run, and every example."""

from __future__ import annotations

import ast
import asyncio
import os
import re
import secrets
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"

NEEDS_A_SESSION = """
def test_it(chaser_cdp_url):
    assert chaser_cdp_url.startswith("ws://")
"""
CALLS_THE_API = """
def test_it(chaser_client):
    session = chaser_client.wait_until_ready(chaser_client.create(), poll_interval=0.05)
    chaser_client.{call}
"""
DRIVES_A_PAGE = """
import time

def test_it(chaser_session):
    chaser_session.goto("data:text/html,<title>Shop</title>")
    for _ in range(60):
        assert chaser_session.title() == "Shop"
        time.sleep(0.1)
"""
CALLS = {"list": "list()", "screenshot": "screenshot(session.id)", "preview_token": "preview_token(session.id)"}
# One of each part, for every run of the tests; the others are asked for by `-m slow`.
ALWAYS = {
    '"create", drop="after"', '"get", answer="truncated"', '"delete", answer="html", status=200',
    '"session", fate="stuck"', '"cdp", cdp="dropped", after=2.5',
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row of the document's table."""

    text: str
    outcome: str
    words: str
    left_open: int

    @property
    def fault(self) -> tuple[str, dict[str, Any]]:
        call = ast.parse(f"add({self.text})", mode="eval").body
        assert isinstance(call, ast.Call)
        values = {str(item.arg): ast.literal_eval(item.value) for item in call.keywords}
        return str(ast.literal_eval(call.args[0])), values

    @property
    def suite(self) -> str:
        endpoint, values = self.fault
        if endpoint in CALLS:
            return CALLS_THE_API.format(call=CALLS[endpoint])
        return DRIVES_A_PAGE if endpoint == "cdp" or values.get("fate") == "dies" else NEEDS_A_SESSION


def rows() -> list[Any]:
    table = DOCUMENT.read_text(encoding="utf-8").partition("## What the plugin does")[2].partition("\n## ")[0]
    found = re.findall(r"^\| `(.+?)` \| (\w+) \| (.+?) \| (\d) \|", table, re.MULTILINE)
    assert {text for text, *_ in found} >= ALWAYS
    made = [Row(text, outcome, words, int(left)) for text, outcome, words, left in found]
    return [pytest.param(row, id=row.text, marks=[] if row.text in ALWAYS else [pytest.mark.slow]) for row in made]


class Served:
    """An embedded server in a thread of this process."""

    def __init__(self, **settings: Any) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.server = EmulatorServer(EmulatorSettings(**settings))
        self._do(self.server.start())

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def arm(self, endpoint: str, values: Mapping[str, Any]) -> Any:
        async def arm() -> Any:
            self.server.faults.clear()
            return self.server.faults.add(endpoint, **values)

        return self._do(arm())

    def open(self, key: str) -> int:
        async def count() -> int:
            return sum(one.status.is_open for one in self.server.store.all() if one.workspace == key)

        return int(self._do(count()))

    def close(self) -> None:
        self._do(self.server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()


@pytest.fixture(scope="module")
def stub() -> Iterator[Served]:
    served = Served(stub=True, ready_delay=(0.1, 0.1))
    yield served
    served.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


def run_pytest(folder: Path, *options: str, **environment: str) -> tuple[int, str]:
    """Run the tests of a folder in a pytest of its own, with this plugin alone; return status and output."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("CHASER_", "PYTEST_"))}
    kept = {name: os.environ[name] for name in ("CHASER_CHROME",) if name in os.environ}
    command = [
        str(Path(sys.executable).parent / "pytest"), "-p", "chaser", "-p", "no:cacheprovider", "-q", "-rA",
        *options, str(folder),
    ]  # fmt: skip
    state = {"CHASER_STATE_DIR": str(folder / "state"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    ran = subprocess.run(
        command, cwd=folder, env={**plain, **kept, **state, **environment}, capture_output=True, text=True, timeout=200,
        check=False,
    )  # fmt: skip
    assert ran.stderr == ""
    return ran.returncode, ran.stdout


@pytest.mark.parametrize("row", rows())
def test_the_plugin_does_what_the_table_says(row: Row, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    served: Served = request.getfixturevalue("chromium" if row.suite == DRIVES_A_PAGE else "stub")
    (tmp_path / "test_it.py").write_text(row.suite, encoding="utf-8")
    key = f"key-{secrets.token_hex(8)}"
    endpoint, values = row.fault
    standing = served.arm(endpoint, values)
    unknown = served.server.counters.unknown_deletes
    options = [
        "-o",
        "chaser_call_timeout=5",
        *(["--chaser-ready-timeout", "3"] if values.get("fate") == "stuck" else []),
    ]
    _, output = run_pytest(tmp_path, *options, CHASER_KEY=key, CHASER_API_URL=served.server.url)
    assert standing.met >= (values.get("times", 1) or 1), f"the run never met the fault:\n{output}"
    words = {"passed": "PASSED", "failed": "FAILED", "error": "ERROR"}
    assert re.search(rf"^{words[row.outcome]} .*test_it", output, re.MULTILINE), output
    assert row.words in output
    assert served.open(key) == row.left_open
    assert served.server.counters.unknown_deletes == unknown


def test_the_examples_of_the_document_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "test_examples.py").write_text("\n\n".join([blocks[1], blocks[0], *blocks[2:]]), encoding="utf-8")
    status, output = run_pytest(tmp_path, "--chaser-look-ahead", "0", "-o", "chaser_call_timeout=3")
    assert status == 0, output
    assert " passed" in output
    assert ", 0 not confirmed" in output


def test_a_run_in_the_cloud_is_told_that_it_cannot_fail_on_command(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text("def test_it(chaser_faults):\n    pass\n", encoding="utf-8")
    status, output = run_pytest(tmp_path, CHASER_KEY="key-0123456789", CHASER_API_URL="http://127.0.0.1:9")
    assert status == 1
    assert "only the embedded server fails on command" in output
    assert 'mark the test with @pytest.mark.chaser(only="local")' in output
