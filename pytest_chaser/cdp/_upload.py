"""Files for a browser that runs on another machine.

`DOM.setFileInputFiles` takes paths of the browser's disk, where the test's files are not. So their bytes go into
the page, in pieces, and become `File` objects there. A local browser is treated alike: a test means the same in
both modes.
"""

from __future__ import annotations

import base64
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyppeteer.errors import ElementHandleError

PIECE = 3 * 1024 * 1024
"""Bytes per message; a multiple of three, so that each piece is base64 without padding inside."""

_CHECK = """(input, count) => {
  if (!(input instanceof HTMLInputElement) || input.type !== 'file') return 'Node is not an <input type=file>';
  if (count > 1 && !input.multiple && !input.webkitdirectory) return 'The input takes one file only';
  return '';
}"""
_BEGIN = "() => ({files: [], parts: []})"
_ADD = """(upload, data) => {
  if (Uint8Array.fromBase64) { upload.parts.push(Uint8Array.fromBase64(data)); return; }
  upload.parts.push(Uint8Array.from(atob(data), c => c.charCodeAt(0)));
}"""
_END_FILE = """(upload, name, type, lastModified) => {
  upload.files.push(new File(upload.parts, name, {type, lastModified}));
  upload.parts = [];
}"""
_CHOOSE = """(input, upload) => {
  const transfer = new DataTransfer();
  for (const file of upload.files) transfer.items.add(file);
  input.files = transfer.files;
  input.dispatchEvent(new Event('input', {bubbles: true, composed: true}));
  input.dispatchEvent(new Event('change', {bubbles: true}));
}"""


async def upload(element: Any, paths: Sequence[Path]) -> None:
    """Put the files into a file input and fire its `input` and `change` events; no paths empties it.

    A missing file raises `FileNotFoundError` before anything is sent.
    """
    for path in paths:
        if not path.is_file():
            raise FileNotFoundError(f"no such file to upload: {path}")
    context = element.executionContext
    problem = await context.evaluate(_CHECK, element, len(paths))
    if problem:
        raise ElementHandleError(problem)
    files = await context.evaluateHandle(_BEGIN)
    try:
        for path in paths:
            await _send_file(context, files, path)
        await context.evaluate(_CHOOSE, element, files)
    finally:
        await files.dispose()


async def _send_file(context: Any, files: Any, path: Path) -> None:
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            await context.evaluate(_ADD, files, base64.b64encode(piece).decode("ascii"))
    kind = mimetypes.guess_type(path.name)[0] or ""
    await context.evaluate(_END_FILE, files, path.name, kind, _modified(path))


def _modified(path: Path) -> int:
    return int(path.stat().st_mtime * 1000)
