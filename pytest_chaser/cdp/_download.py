"""Downloads from a browser that may run on another machine.

The browser writes a download to its own disk. Where that disk is not ours, a file input in a world of its own is
given the path there, and the bytes come back in pieces: that works for every kind of download (POST, blob,
cookies), since nothing is asked of the server twice.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import functools
import shutil
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from pyppeteer.errors import NetworkError, PageError

from .._exceptions import ChaserError
from ._arrivals import Arrivals
from ._sessions import lenient

if TYPE_CHECKING:
    from ._page import Page

PIECE = 4 * 1024 * 1024
"""Bytes per message."""

_BROWSER_FOLDER = PurePosixPath(f"/tmp/chaser-downloads-{uuid.uuid4().hex[:12]}")

_READ = """async (input, start, end) => {
  const file = input.files[0];
  const bytes = new Uint8Array(await file.slice(start, end).arrayBuffer());
  if (bytes.toBase64) return bytes.toBase64();
  let text = '';
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return btoa(text);
}"""


@dataclass(frozen=True)
class Download:
    """A download that has ended. `failure` says why there is no file, then `size` counts what came of it."""

    url: str
    suggestedFilename: str
    _path: Path = field(repr=False)
    size: int
    failure: str | None = None

    @property
    def path(self) -> Path:
        """The file on this machine; `PageError` if the download failed."""
        if self.failure:
            raise PageError(f"The download of {self.suggestedFilename} from {self.url} {self.failure}")
        return self._path

    def save_as(self, path: str | Path) -> Path:
        """Copy the file to another place; `PageError` if the download failed."""
        source = self.path
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        return target

    def read_bytes(self) -> bytes:
        """The file's content; `PageError` if the download failed."""
        return self.path.read_bytes()


class Downloads:
    """The downloads of one page."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._connection = page._client._connection
        self._folder: Path | None = page._options.downloads
        self._begun: dict[str, dict[str, Any]] = {}
        self._arrivals: Arrivals[Download] = Arrivals("download", page._client)
        self._connection.on("Browser.downloadWillBegin", self._begins)
        self._connection.on("Browser.downloadProgress", self._progress)

    async def allow(self) -> None:
        """Let the browser of this page download; one that cannot (Chrome on Android) goes without."""
        params = {
            "behavior": "allowAndName",
            "downloadPath": str(_BROWSER_FOLDER),
            "eventsEnabled": True,
            **self._page._context_param(),
        }
        await lenient(self._connection.send("Browser.setDownloadBehavior", params))

    async def next(self, action: Callable[[], Any] | None, timeout: float) -> Download:
        return await self._arrivals.next(action, timeout)

    async def coming(self, accepts: Callable[[Download], object] | None, timeout: float) -> Download:
        return await self._arrivals.coming(timeout, accepts=accepts)

    def close(self, error: BaseException) -> None:
        """The page is gone: nothing will be downloaded any more; what was stays until the process ends."""
        self._connection.remove_listener("Browser.downloadWillBegin", self._begins)
        self._connection.remove_listener("Browser.downloadProgress", self._progress)
        self._arrivals.fail(error)

    def _begins(self, event: dict[str, Any]) -> None:
        if event["frameId"] in self._page._frameManager._frames:
            self._begun[event["guid"]] = event

    def _progress(self, event: dict[str, Any]) -> None:
        if event["state"] == "inProgress" or event["guid"] not in self._begun:
            return
        begun = self._begun.pop(event["guid"])
        self._page._client._loop.create_task(self._arrive(begun, event))

    async def _arrive(self, begun: dict[str, Any], end: dict[str, Any]) -> None:
        url, name = begun["url"], _plain_name(begun["suggestedFilename"])
        target = self._free_path(name)
        failure = None if end["state"] == "completed" else f"was {end['state']}"
        size = int(end.get("receivedBytes", 0))
        if failure is None:
            source = end.get("filePath") or str(_BROWSER_FOLDER / begun["guid"])
            try:
                await self._bring(source, target, size)
            except (NetworkError, ChaserError, OSError, asyncio.TimeoutError) as error:
                failure = f"could not be brought here: {error}"
        if failure is not None:
            target.unlink(missing_ok=True)
        download = Download(url, name, target, size, failure)
        self._arrivals.add(download)
        self._page.emit("download", download)

    def _free_path(self, name: str) -> Path:
        folder = self._folder or _temporary_folder()
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / name
        count = 1
        while path.exists():
            path = folder / f"{Path(name).stem} ({count}){Path(name).suffix}"
            count += 1
        path.touch()
        return path

    async def _bring(self, source: str, target: Path, size: int) -> None:
        if _is_here(source, size):
            _remove_browser_folder_at_exit()
            await asyncio.get_running_loop().run_in_executor(None, shutil.move, source, target)
            return
        client = self._page._client
        world = {"frameId": self._page._frameManager.mainFrame._id, "worldName": "chaser-downloads"}
        context = (await client.send("Page.createIsolatedWorld", world))["executionContextId"]
        script = "Object.assign(document.createElement('input'), {type: 'file'})"
        handle = await client.send("Runtime.evaluate", {"expression": script, "contextId": context})
        file_input = handle["result"]["objectId"]
        try:
            await client.send("DOM.setFileInputFiles", {"files": [source], "objectId": file_input})
            with target.open("wb") as stream:
                for start in range(0, size, PIECE):
                    stream.write(await _read(client, file_input, start, min(start + PIECE, size)))
        finally:
            await lenient(client.send("Runtime.releaseObject", {"objectId": file_input}))


@functools.cache
def _temporary_folder() -> Path:
    """A folder of this process, gone with it."""
    folder = Path(tempfile.mkdtemp(prefix="chaser-downloads-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def _remove_browser_folder_at_exit() -> None:
    """The browser runs on this machine: the folder that it made is ours to remove."""
    atexit.register(shutil.rmtree, str(_BROWSER_FOLDER), ignore_errors=True)


def _is_here(source: str, size: int) -> bool:
    local = Path(source)
    return local.is_file() and local.stat().st_size == size


async def _read(client: Any, file_input: str, start: int, end: int) -> bytes:
    answer = await client.send(
        "Runtime.callFunctionOn",
        {
            "functionDeclaration": _READ,
            "objectId": file_input,
            "arguments": [{"objectId": file_input}, {"value": start}, {"value": end}],
            "returnByValue": True,
            "awaitPromise": True,
        },
    )
    if "exceptionDetails" in answer:
        raise NetworkError(f"the browser cannot read its own file: {answer['exceptionDetails'].get('text')}")
    return base64.b64decode(answer["result"]["value"])


def _plain_name(name: str) -> str:
    """The name without any folder: it comes from a server."""
    plain = name.replace("\\", "/").rsplit("/", 1)[-1]
    return plain if plain not in ("", ".", "..") else "download"
