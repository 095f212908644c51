"""Where evidence lies: folder names that are safe on every system and do not collide, and files that appear whole.

A folder belongs to one attempt of one test: `<slug>-<hash>[-retryN]`. The slug is for people; the hash of the whole
node id keeps apart what the slug cannot: long ids, other alphabets, names that differ in case only.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import unicodedata
from pathlib import Path, PureWindowsPath

SLUG_LENGTH = 80
_HASH_LENGTH = 8
_RESERVED = {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(10)), *(f"lpt{n}" for n in range(10))}


def slug(text: str, length: int = SLUG_LENGTH) -> str:
    """Return `text` in ASCII letters, digits, `_` and `-`: at most `length` characters, never empty, never reserved."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii")
    plain = re.sub(r"[^A-Za-z0-9_]+", "-", plain).strip("-_")
    if len(plain) > length:
        # The end names the test, the start only the folders it lies in.
        plain = plain[-length:].lstrip("-_")
    if not plain:
        return "test"
    return f"{plain}-" if plain.lower() in _RESERVED else plain


def folder_name(node_id: str, attempt: int = 1) -> str:
    """Return the name of the folder for one attempt of a test; attempts count from 1."""
    digest = hashlib.sha256(node_id.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH_LENGTH]
    retry = f"-retry{attempt - 1}" if attempt > 1 else ""
    return f"{slug(node_id)}-{digest}{retry}"


def file_name(stem: str, suffix: str, *, session: int = 1, phase: str | None = None) -> str:
    """Return a piece's file name; `session` counts the test's sessions, `phase` is named when it is not the first."""
    parts = [slug(stem, 60).rstrip("-")]
    if session > 1:
        parts.append(str(session))
    if phase:
        parts.append(phase)
    name = "-".join(parts)
    return f"{f'{name}-' if name.lower() in _RESERVED else name}{suffix}"


def write_atomically(path: Path, data: bytes) -> Path:
    """Write `data` so that a reader sees the whole file or none, whoever else writes there at the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        scratch.write_bytes(data)
        os.replace(scratch, path)
    finally:
        with contextlib.suppress(OSError):
            scratch.unlink()
    return path


def forget_earlier_runs(output: Path, node_id: str, attempts: int = 20) -> None:
    """Remove what earlier runs left in this test's own folders; no other test's folder is touched.

    Called by the process that runs the test, before its first attempt: no other process writes there.
    """
    for attempt in range(1, attempts + 1):
        folder = output / folder_name(node_id, attempt)
        if folder.is_dir():
            shutil.rmtree(folder, ignore_errors=True)
        elif attempt > 1:
            break


def shown_path(path: Path, start: Path) -> str:
    """Return the path as people read it: relative to `start` with forward slashes if that is possible."""
    try:
        relative = os.path.relpath(path, start)
    except ValueError:  # another drive on Windows
        relative = str(path)
    return relative.replace("\\", "/") if isinstance(path, PureWindowsPath) or os.sep == "\\" else relative
