"""The Pythons of this machine that the project supports."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSIONS = ("3.10", "3.11", "3.12", "3.13")
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"


def find_interpreters() -> dict[str, Path]:
    """Return version and path of each supported Python: the running one, those on PATH, and pyenv's."""
    found = {CURRENT: Path(sys.executable)}
    for version in VERSIONS:
        for candidate in candidates(version):
            if version not in found and answers(candidate, version):
                found[version] = candidate
    return dict(sorted(found.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


def candidates(version: str) -> list[Path]:
    """Return where a Python of this version may be; pyenv's shims are among them, whether they work or not."""
    on_path = shutil.which(f"python{version}")
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [Path(on_path)] if on_path else []
    return found + sorted((pyenv / "versions").glob(f"{version}.*/bin/python"))


def answers(path: Path, version: str) -> bool:
    """Return whether this is a working Python of this version."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([path, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and answer.stdout.strip() == version
