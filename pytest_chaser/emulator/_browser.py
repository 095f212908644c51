"""Finding a Chrome, Chromium or Edge on this machine, and installing one."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ._settings import EmulatorError

VARIABLE = "CHASER_CHROME"
NAMES = (
    "google-chrome-stable",
    "google-chrome",
    "chrome",
    "chromium",
    "chromium-browser",
    "microsoft-edge-stable",
    "microsoft-edge",
    "msedge",
)
REMEDY = f"install one with `chaser install-browser`, or name yours in {VARIABLE}"


class BrowserNotFound(EmulatorError):
    """There is no browser to run; the message says where it was looked for and what to do."""


class InstallFailed(EmulatorError):
    """No browser could be installed; the message says what was tried and what to do."""


def find_browser(explicit: str | None = None, environ: Mapping[str, str] = os.environ) -> Path:
    """Return the browser: `explicit`, else CHASER_CHROME, else from PATH or a usual place; raises BrowserNotFound."""
    for source, name in (("the setting", explicit), (VARIABLE, environ.get(VARIABLE))):
        if name:
            found = shutil.which(name, path=environ.get("PATH"))
            if found is None:
                raise BrowserNotFound(f"{name!r}, which {source} names, is not a program that can be run; {REMEDY}")
            return Path(found)
    for name in NAMES:
        found = shutil.which(name, path=environ.get("PATH"))
        if found is not None:
            return Path(found)
    for place in usual_places(sys.platform, environ):
        if os.access(place, os.X_OK):
            return place
    raise BrowserNotFound(f"no Chrome, Chromium or Edge was found on PATH or in its usual places; {REMEDY}")


def usual_places(system: str, environ: Mapping[str, str]) -> Iterable[Path]:
    """Return where installers put browsers without adding them to PATH."""
    if system == "darwin":
        for folder in (Path("/Applications"), Path(environ.get("HOME", "/")) / "Applications"):
            for name in ("Google Chrome", "Chromium", "Microsoft Edge"):
                yield folder / f"{name}.app" / "Contents" / "MacOS" / name
    elif system == "win32":
        for variable in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
            if environ.get(variable):
                for tail in ("Google/Chrome/Application/chrome.exe", "Chromium/Application/chrome.exe",
                             "Microsoft/Edge/Application/msedge.exe"):  # fmt: skip
                    yield Path(environ[variable]) / tail
    else:
        for place in ("/opt/google/chrome/chrome", "/opt/microsoft/msedge/msedge", "/usr/lib/chromium/chromium",
                      "/usr/lib64/chromium-browser/chromium-browser", "/snap/bin/chromium"):  # fmt: skip
            yield Path(place)


@dataclass(frozen=True)
class Installer:
    """One package manager: its commands in order, and whether they need root."""

    program: str
    commands: tuple[tuple[str, ...], ...]
    root: bool = True


OS_RELEASE = Path("/etc/os-release")
CHROME_DEB = "https://dl.google.com/linux/direct/google-chrome-stable_current_amd64.deb"
INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends")

INSTALLERS = (
    Installer("apt-get", (("apt-get", "update"),
                          (*INSTALL, "chromium"))),
    Installer("dnf", (("dnf", "install", "--assumeyes", "chromium"),)),
    Installer("apk", (("apk", "add", "--no-cache", "chromium"),)),
    Installer("zypper", (("zypper", "--non-interactive", "install", "chromium"),)),
    Installer("pacman", (("pacman", "-Sy", "--noconfirm", "chromium"),)),
    Installer("brew", (("brew", "install", "--cask", "chromium"),), root=False),
)  # fmt: skip


def install_browser(say: Callable[[str], None] = print) -> Path:
    """Return the browser that is there, else install Chromium with the system's package manager.

    `say` is told what is run. Raises InstallFailed where there is no package manager that we know, where it needs
    root and `sudo` asks for a password, and where it fails.
    """
    try:
        return find_browser()
    except BrowserNotFound:
        if os.environ.get(VARIABLE):
            raise
    installer = next((known for known in INSTALLERS if shutil.which(known.program)), None)
    if installer is None:
        names = ", ".join(known.program for known in INSTALLERS)
        raise InstallFailed(f"none of {names} is here; install Chrome or Chromium by hand and name it in {VARIABLE}")
    prefix = _root_prefix(installer)
    with tempfile.TemporaryDirectory() as folder:
        if installer.program == "apt-get" and chromium_is_a_snap(OS_RELEASE):
            installer = Installer("apt-get", (installer.commands[0], (*INSTALL, _download_chrome(folder, say))))
        for command in installer.commands:
            _run([*prefix, *command], say)
    return find_browser()


def chromium_is_a_snap(os_release: Path) -> bool:
    """Return whether this is Ubuntu, whose package `chromium` needs a running snapd: containers have none."""
    try:
        lines = os_release.read_text().splitlines()
    except OSError:
        return False
    return "ID=ubuntu" in lines


def _download_chrome(folder: str, say: Callable[[str], None]) -> str:
    if platform.machine() not in ("x86_64", "AMD64"):
        raise InstallFailed(
            f"Ubuntu has Chromium as a snap only, and Google has no Chrome for {platform.machine()}; "
            f"install a browser by hand and name it in {VARIABLE}"
        )
    path = f"{folder}/google-chrome-stable.deb"
    say(f"downloading {CHROME_DEB}")
    try:
        with urllib.request.urlopen(CHROME_DEB, timeout=60) as answer, open(path, "wb") as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise InstallFailed(f"{CHROME_DEB} could not be downloaded: {error}") from error
    # apt reads packages as a user of its own.
    os.chmod(folder, 0o755)
    return path


def _root_prefix(installer: Installer) -> list[str]:
    if not installer.root or os.geteuid() == 0:
        return []
    by_hand = " && ".join(f"sudo {' '.join(command)}" for command in installer.commands)
    if shutil.which("sudo") is None:
        raise InstallFailed(f"{installer.program} needs root and sudo is not here; as root, run: {by_hand}")
    if subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode != 0:
        raise InstallFailed(f"{installer.program} needs root and sudo asks for a password; run: {by_hand}")
    return ["sudo", "-n"]


def _run(command: list[str], say: Callable[[str], None]) -> None:
    say("$ " + " ".join(command))
    if command[0] == "sudo":
        command = [*command[:2], "env", "DEBIAN_FRONTEND=noninteractive", *command[2:]]
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    status = subprocess.run(command, stdin=subprocess.DEVNULL, env=environ, check=False).returncode
    if status != 0:
        raise InstallFailed(f"`{' '.join(command)}` ended with status {status}; its last lines above say why")
