"""An embedded server as a process of its own, as `chaser serve` runs it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

SERVE = """
import argparse, os, signal, sys
from pytest_chaser.emulator import _serve
parser = argparse.ArgumentParser()
_serve.add_arguments(parser)
# A crash that no Python code sees.
signal.signal(signal.SIGUSR1, lambda *_: os.abort())
sys.exit(_serve.run(parser.parse_args()))
"""


@dataclass
class Serving:
    """A server as a process of its own, whose profiles are under `folder`."""

    process: subprocess.Popen[str]
    folder: Path
    url: str
    key: str

    def call(self, method: str, path: str = "") -> Any:
        request = urllib.request.Request(f"{self.url}/v1/sessions{path}", method=method, data=b"{}")
        request.add_header("Authorization", f"Bearer {self.key}")
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def ready_session(self) -> Any:
        session = self.call("POST")
        while session["status"] == "creating":
            time.sleep(0.02)
            session = self.call("GET", f"/{session['id']}")
        assert session["status"] == "ready"
        return session

    def browsers(self) -> list[psutil.Process]:
        return alive_with(f"--user-data-dir={self.folder}")

    def watchdog(self) -> psutil.Process:
        return next(process for process in alive_with(str(self.folder)) if "_watchdog.py" in str(process.cmdline()))


def alive_with(text: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if text in " ".join(process.cmdline()) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


def start(folder: Path, *options: str) -> Serving:
    folder.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "--port", "0", *options],
        env={**os.environ, "TMPDIR": str(folder), "CHASER_SERVE_KEYS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    said = "".join(iter(process.stdout.readline, "\n"))
    said += process.stdout.readline() + process.stdout.readline()
    url, key = re.search(r"CHASER_API_URL=(\S+)\nexport CHASER_KEY=(\S+)", said).groups()  # type: ignore[union-attr]
    return Serving(process, folder, url, key)


def finish(server: Serving) -> None:
    if server.process.poll() is None:
        server.process.terminate()
    server.process.communicate(timeout=30)
