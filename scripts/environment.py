"""A virtual environment of this clone, made once and brought up to date when what it is made from changes.

Runs on a bare Python >= 3.10, before anything is installed: the standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".envs"


class SetupError(Exception):
    """The set-up cannot go on; the message says what to do."""


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"--- {text}", flush=True)


def call(command: Sequence[str | Path], *, quiet: bool = False) -> bool:
    """Run a command in the clone without standard input; return whether it succeeded."""
    output = subprocess.PIPE if quiet else None
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if quiet else None,
        check=False,
    )
    return done.returncode == 0


def digest(paths: Sequence[Path], *words: str) -> str:
    """Return a hash of the files' names and contents, and of the words."""
    total = hashlib.sha256("\0".join(words).encode())
    for path in sorted(paths):
        total.update(f"\0{path.relative_to(ROOT)}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()


def project_digest() -> str:
    """Return a hash of everything the project's wheel is built from."""
    package = [path for path in (ROOT / "pytest_chaser").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return digest([*package, *(ROOT / name for name in ("pyproject.toml", "README.md", "LICENSE"))])


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """Keep a second set-up in this clone waiting until the first is done."""
    FOLDER.mkdir(exist_ok=True)
    with open(FOLDER / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Environment:
    """One virtual environment under `.envs/`, with the project installed as its users get it: from a wheel.

    `groups` are dependency groups of pyproject.toml.
    """

    def __init__(self, name: str, groups: Sequence[str]) -> None:
        self.path = FOLDER / name
        self.bin = self.path / "bin"
        self.groups = tuple(groups)
        self._stamp_file = self.path / "made-from.json"

    def ensure(self) -> float:
        """Make or update the environment; return the seconds it took. An unchanged one costs a few milliseconds."""
        started = time.monotonic()
        with locked():
            wanted = {
                "dependencies": digest(
                    [ROOT / "pyproject.toml"], str(sys.version_info[:3]), sys.executable, *self.groups
                ),
                "project": project_digest(),
            }
            found = self._stamp()
            if found.get("dependencies") != wanted["dependencies"] or not (self.bin / "python").exists():
                self._make()
            elif found.get("project") != wanted["project"]:
                self._install("--no-build-isolation", "--no-deps", "--force-reinstall", ".")
            self._stamp_file.write_text(json.dumps(wanted), encoding="utf-8")
        return time.monotonic() - started

    def install_browser(self) -> None:
        """Find a Chrome, Chromium or Edge on this machine, or install one."""
        if not call([self.bin / "chaser", "install-browser"]):
            raise SetupError("there is no browser to run the tests in, and none could be installed; see above")

    def _stamp(self) -> dict[str, str]:
        try:
            found = json.loads(self._stamp_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _make(self) -> None:
        say(f"making {self.path.relative_to(ROOT)} with Python {sys.version.split()[0]}")
        shutil.rmtree(self.path, ignore_errors=True)
        make_virtual_environment(self.path)
        # Dependency groups came with pip 25.1; a Debian's own pip is older.
        self._install("--upgrade", "pip>=25.1")
        self._install("hatchling>=1.26", ".", *(f"--group={group}" for group in self.groups))

    def _install(self, *arguments: str) -> None:
        say(f"pip install {' '.join(arguments)}")
        command: list[str | Path] = [
            self.bin / "python",
            "-m",
            "pip",
            "install",
            "-qq",
            "--disable-pip-version-check",
            *arguments,
        ]
        if not call(command):
            shutil.rmtree(self.path, ignore_errors=True)
            raise SetupError("pip could not install what is needed; its own message stands above")


def make_virtual_environment(path: Path) -> None:
    """Make an empty virtual environment with pip in it, however this Python was packaged.

    Debian and Ubuntu leave `ensurepip` out of their `python3`; it comes with another package, which root installs.
    """
    plain: list[str | Path] = [sys.executable, "-m", "venv", path]
    if call(plain, quiet=True):
        return
    if shutil.which("virtualenv") and call(["virtualenv", "--python", sys.executable, path], quiet=True):
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    install = ["apt-get", "install", "--yes", "--no-install-recommends", package]
    if shutil.which("apt-get") and (prefix := administrator()) is not None:
        say(f"this Python cannot make virtual environments by itself: installing {package}")
        os.environ.setdefault("DEBIAN_FRONTEND", "noninteractive")
        if call([*prefix, "apt-get", "update", "--quiet"], quiet=True) and call([*prefix, *install], quiet=True):
            shutil.rmtree(path, ignore_errors=True)
            if call(plain):
                return
    raise SetupError(
        f"{sys.executable} cannot make a virtual environment with pip in it. On Debian or Ubuntu: "
        f"sudo {' '.join(install)}. Elsewhere: install the package that has Python's venv and ensurepip modules"
    )


def administrator() -> list[str] | None:
    """Return what makes a command run as root without a question: nothing for root, else sudo; None if neither."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and call(["sudo", "--non-interactive", "true"], quiet=True):
        return ["sudo", "--non-interactive"]
    return None
