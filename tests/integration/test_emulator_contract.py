"""The embedded server against `docs/openapi.yaml` and against the examples of the API's own document."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from pytest_chaser.emulator import EmulatorServer, EmulatorSettings

pytestmark = pytest.mark.asyncio
# The one that goes with the oldest pytest calls untouched requests mutated, and an answer to them an error.
meets_schemathesis = pytest.mark.skipif(
    tuple(int(part) for part in version("schemathesis").split(".")[:2]) < (4, 32),
    reason="needs schemathesis 4.32, which needs a newer pytest than the oldest we support",
)

CONTRACT = Path(__file__).parents[2] / "docs" / "openapi.yaml"
KEY = "key-of-the-contract"
# An ended session can still be read, which is what the API documents.
NOT_MEANT = "use_after_free,positive_data_acceptance"


async def schemathesis(url: str, folder: Path, *options: str) -> tuple[int, str]:
    """Run schemathesis against a server; return its exit status and what it printed."""
    command = [
        str(Path(sys.executable).parent / "schemathesis"), "run", str(CONTRACT), "--url", url,
        "-H", f"Authorization: Bearer {KEY}", "--checks", "all", "--exclude-checks", NOT_MEANT, "--no-color", *options,
    ]  # fmt: skip
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "contract_checks", "PYTHONPATH": str(Path(__file__).parent)}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[EmulatorServer]:
    async with EmulatorServer(EmulatorSettings(stub=True, keys=(KEY,), **settings)) as server:
        yield server


def cases(output: str) -> int:
    found = re.search(r"([\d,]+) generated", output)
    assert found, output
    return int(found[1].replace(",", ""))


async def held_to_contract(folder: Path, *options: str, **settings: Any) -> int:
    async with serving(**settings) as server:
        status, output = await schemathesis(server.url, folder, *options)
    assert status == 0, output
    assert "failure" not in output.rpartition("SUMMARY")[2].lower(), output
    return cases(output)


@meets_schemathesis
async def test_the_server_keeps_to_its_contract(tmp_path: Path) -> None:
    options = ("--phases", "examples,coverage,fuzzing", "--max-examples", "4", "--seed", "1")
    assert await held_to_contract(tmp_path, *options) > 150


@meets_schemathesis
async def test_the_other_readings_keep_to_the_same_contract(tmp_path: Path) -> None:
    others = {"cdp_url_from_creation": False, "expires_cap": 600, "invalid_body_status": 422}
    options = ("--phases", "fuzzing", "--max-examples", "4", "--seed", "2")
    assert await held_to_contract(tmp_path, *options, **others) > 15


@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_the_server_keeps_to_its_contract_in_thousands_of_cases(tmp_path: Path) -> None:
    assert await held_to_contract(tmp_path, "--max-examples", "600") > 2000


# The examples of the API's document: what is sent, and the answer's shape to the last field.

SESSION = {
    "id": "sess_019ec0d0-a88a-73f2-9741-8030dc82a854",
    "object": "session",
    "status": "ready",
    "device": "Android 10 - Chrome 137 (Mobile)",
    "cdp_url": "wss://cdp.chaser.sh/sessions/sess_019ec0d0-a88a-73f2-9741-8030dc82a854",
    "bytes_up": 22500,
    "bytes_down": 25503,
    "proxy_ip": None,
    "proxy_region": None,
    "created_at": "2026-06-13T11:49:20.651182Z",
    "ready_at": "2026-06-13T11:49:38.102017Z",
    "expires_at": "2026-06-13T11:59:20.650185Z",
    "ended_at": None,
    "ended_reason": None,
}
CREATED = {
    "id": "sess_019ec0d0-a88a-73f2-9741-8030dc82a854",
    "object": "session",
    "status": "creating",
    "cdp_url": "wss://cdp.chaser.sh/sessions/sess_019ec0d0-a88a-73f2-9741-8030dc82a854",
    "created_at": "2026-06-13T11:49:20.651182Z",
    "expires_at": "2026-06-13T11:59:20.650185Z",
}
LISTED = {
    "object": "list",
    "data": [SESSION],
    "next_cursor": "MjAyNi0wNi0xM1QxMTo0OToyMC42NTExODIrMDA6MDB8MDE5ZWMwZDAt...",
    "has_more": True,
}
TOKEN = {
    "url": "wss://stream.chaser.sh/sessions/sess_019ec0d0-a88a-73f2-9741-8030dc82a854/preview?token=eyJ...",
    "expires_at": "2026-06-13T11:54:41.836Z",
    "input_enabled": True,
    "fps": 5,
}
# A document's null stands for a value that is not there yet, or not in this example.
OR_NULL = {"proxy_ip", "proxy_region", "ended_at", "ended_reason"}
SAID = {"object", "status", "has_more", "input_enabled", "fps"}


def shape(text: str) -> str:
    """Return a text with its variable parts made equal: ids, times, addresses and tokens."""
    text = re.sub(r"sess_[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(\d{3})(\d{3})?Z", lambda m: f"TIME{6 if m[2] else 3}", text)
    text = re.sub(r"^wss?://[^/]+/", "WS/", text)
    return re.sub(r"token=ey.*", "token=ey", text)


def assert_shape(answer: Any, example: Any, name: str = "") -> None:
    """The same fields in the same order, each of the same type, with the same form of text."""
    if name in OR_NULL:
        assert answer is None or isinstance(answer, str)
    elif isinstance(example, dict):
        assert list(answer) == list(example)
        for field in example:
            assert_shape(answer[field], example[field], field)
    elif isinstance(example, list):
        for item in answer:
            assert_shape(item, example[0])
    else:
        assert type(answer) is type(example), name
        if name in SAID:
            assert answer == example
        elif isinstance(example, str) and name not in ("device", "next_cursor"):
            assert shape(answer) == shape(example), name


@dataclass
class Workspace:
    """Calls as the document's `curl` examples make them."""

    http: aiohttp.ClientSession
    url: str

    async def __call__(self, method: str, path: str, body: str | None = None) -> tuple[int, str, bytes]:
        headers = {"Authorization": f"Bearer {KEY}", **({"Content-Type": "application/json"} if body else {})}
        async with self.http.request(method, f"{self.url}/v1/sessions{path}", headers=headers, data=body) as answer:
            return answer.status, answer.content_type, await answer.read()

    async def ready(self) -> str:
        created = json.loads((await self("POST", "", "{}"))[2])
        while json.loads((await self("GET", f"/{created['id']}"))[2])["status"] != "ready":
            await asyncio.sleep(0.005)
        return str(created["id"])


@asynccontextmanager
async def workspace() -> AsyncIterator[Workspace]:
    async with serving() as server, aiohttp.ClientSession() as http:
        yield Workspace(http, server.url)


async def test_the_example_of_creating_is_answered_with_its_shape() -> None:
    async with workspace() as call:
        status, kind, body = await call("POST", "", '{\n    "ttl_seconds": 1800\n  }')
        assert (status, kind) == (201, "application/json")
        assert_shape(json.loads(body), CREATED)


async def test_the_example_of_listing_is_answered_with_its_shape() -> None:
    async with workspace() as call:
        for _ in range(12):
            await call.ready()
        status, kind, body = await call("GET", "?limit=10")
        assert (status, kind) == (200, "application/json")
        listed = json.loads(body)
        assert_shape(listed, LISTED)
        assert len(listed["data"]) == 10
        assert [one["created_at"] for one in listed["data"]] == sorted(
            (one["created_at"] for one in listed["data"]), reverse=True
        )


async def test_the_example_of_getting_is_answered_with_its_shape() -> None:
    async with workspace() as call:
        status, kind, body = await call("GET", f"/{await call.ready()}")
        assert (status, kind) == (200, "application/json")
        assert_shape(json.loads(body), SESSION)


async def test_the_example_of_deleting_is_answered_without_a_body() -> None:
    async with workspace() as call:
        session_id = await call.ready()
        assert (await call("DELETE", f"/{session_id}"))[::2] == (204, b"")
        ended = json.loads((await call("GET", f"/{session_id}"))[2])
        assert (ended["status"], ended["ended_reason"]) == ("closed", "client_delete")
        assert shape(ended["ended_at"]) == "TIME6"


async def test_the_example_of_a_screenshot_is_answered_with_a_bare_png() -> None:
    async with workspace() as call:
        status, kind, body = await call("POST", f"/{await call.ready()}/screenshot")
        assert (status, kind) == (200, "image/png")
        assert body.startswith(b"\x89PNG\r\n\x1a\n")


async def test_the_example_of_a_preview_token_is_answered_with_its_shape() -> None:
    async with workspace() as call:
        status, kind, body = await call("POST", f"/{await call.ready()}/preview-token", "{}")
        assert (status, kind) == (200, "application/json")
        assert_shape(json.loads(body), TOKEN)


@pytest.mark.parametrize(
    ("method", "path", "state", "status", "code"),
    [
        ("GET", "", "unknown", 404, "session_not_found"),
        ("DELETE", "", "closed", 409, "session_not_open"),
        ("POST", "/screenshot", "closed", 409, "session_not_open"),
        ("POST", "/screenshot", "unknown", 404, "session_not_found"),
        ("POST", "/preview-token", "closed", 409, "session_not_open"),
        ("POST", "/preview-token", "unknown", 404, "session_not_found"),
    ],
)
async def test_each_documented_error_has_its_status_and_code(
    method: str, path: str, state: str, status: int, code: str
) -> None:
    async with workspace() as call:
        session_id = "sess_019ec0b4-b174-7e90-91b3-02032470cb24"
        if state == "closed":
            session_id = await call.ready()
            await call("DELETE", f"/{session_id}")
        answered, _, body = await call(method, f"/{session_id}{path}", "{}" if path == "/preview-token" else None)
        assert (answered, json.loads(body)["error"]["code"]) == (status, code)
