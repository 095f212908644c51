"""One pytest invocation: its id and its folder, shared by the controller and all workers.

The folder is private to the user (0700) and lives in the system's temporary folder. It holds what the processes of a
run have to find: the broker's address above all.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Run:
    """The run's id and its folder; made by the process that owns the run, handed to its workers."""

    id: str
    folder: Path

    @classmethod
    def start(cls) -> Run:
        """Make a new run with a folder of its own, in which the broker finds whose it is."""
        folder = Path(tempfile.mkdtemp(prefix="pytest-chaser-"))
        (folder / "owner").write_text(str(os.getpid()), encoding="ascii")
        return cls(secrets.token_hex(4), folder)

    @classmethod
    def from_workerinput(cls, data: dict[str, str]) -> Run:
        return cls(data["id"], Path(data["folder"]))

    def to_workerinput(self) -> dict[str, str]:
        """Return plain strings: they cross the wire between xdist's processes."""
        return {"id": self.id, "folder": str(self.folder)}

    def broker_is_announced(self) -> bool:
        """Tell whether some process of the run has started the broker."""
        return (self.folder / "broker.json").exists()

    def remove(self) -> None:
        """Remove the folder; what is gone already is fine."""
        shutil.rmtree(self.folder, ignore_errors=True)
