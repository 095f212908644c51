"""What one run's broker is told by the process that starts it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DEFAULT_API_URL = "https://api.chaser.sh"
_PATHS = frozenset({"run_folder", "state_dir"})


@dataclass(frozen=True)
class BrokerSettings:
    """The settings of one run; the key is no part of them, so that they may be written and logged.

    `mode` is "cloud" or "local", `scope` "test" or "worker", durations are seconds. `run_folder` is a private (0700)
    folder shared by the processes of one run. `workers` is how many processes run tests, `emulator` the fields of the
    embedded server's settings in local mode.
    """

    run_id: str
    run_folder: Path
    state_dir: Path
    mode: str = "cloud"
    api_url: str = DEFAULT_API_URL
    ttl: int | None = None
    profile: str | None = None
    ready_timeout: float = 120.0
    acquire_timeout: float = 600.0
    max_sessions: int | None = None
    look_ahead: int | str = "auto"
    scope: str = "test"
    workers: int = 1
    chrome: str | None = None
    headed: bool = False
    exclusive: bool = False
    emulator: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the settings as one line of JSON, without any secret."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        for name in _PATHS:
            values[name] = str(values[name])
        values["emulator"] = dict(self.emulator)
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> BrokerSettings:
        """Return the settings that `to_json` wrote."""
        values = json.loads(text)
        for name in _PATHS:
            values[name] = Path(values[name])
        return cls(**values)

    @property
    def address_file(self) -> Path:
        """Where the serving broker says how it is reached."""
        return self.run_folder / "broker.json"

    @property
    def owner_file(self) -> Path:
        """Where the process that owns the run, xdist's controller if there is one, has written its pid."""
        return self.run_folder / "owner"

    @property
    def lock_file(self) -> Path:
        """Whose lock the run's broker holds for life: there is one broker per run at a time."""
        return self.run_folder / "broker.lock"

    @property
    def start_lock_file(self) -> Path:
        """Whose lock a process holds while it starts a broker."""
        return self.run_folder / "start.lock"

    @property
    def failure_file(self) -> Path:
        """Where a broker that cannot serve says why: no browser was found, for instance."""
        return self.run_folder / "broker.failed"

    @property
    def log_file(self) -> Path:
        """The broker's own log; it has no other output."""
        return self.run_folder / "broker.log"


@dataclass(frozen=True)
class ApiAccess:
    """How a broker reaches its API. An embedded server has an admin port too, where faults are commanded."""

    url: str
    key: str = field(repr=False)
    admin_url: str | None = None
    admin_token: str | None = field(default=None, repr=False)


def ledger_folder(state_dir: Path, api_url: str, key: str) -> Path:
    """Return the folder of the ledgers that this key at this API may settle.

    A folder per API and key keeps a sweep from asking one workspace about another's sessions. The name does not give
    the key away.
    """
    digest = hashlib.sha256(f"{api_url.rstrip('/')}\0{key}".encode()).hexdigest()
    return state_dir / "ledgers" / digest[:24]
