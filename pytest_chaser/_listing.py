"""`chaser sessions` and `chaser reap`: what is open in the workspace, and settling what dead runs left."""

from __future__ import annotations

import json
import os
from datetime import datetime

from ._client import ChaserClient
from ._config import read_api_url, read_state_dir
from ._exceptions import ConfigurationError
from ._models import Session, SessionStatus, utc_now
from .broker._reaper import SettleReport, known_ids, settle_dead_runs

_OPEN = (SessionStatus.CREATING, SessionStatus.READY)


def read_key() -> str:
    """Return CHASER_KEY; raises ConfigurationError if there is none."""
    key = os.environ.get("CHASER_KEY", "").strip()
    if not key:
        raise ConfigurationError("there is no API key: set CHASER_KEY (it is no option: others can read command lines)")
    return key


def list_sessions(*, everything: bool, as_json: bool) -> int:
    """Print the workspace's sessions, newest first: the open ones, or with `everything` the ended ones too."""
    key, api_url = read_key(), read_api_url(os.environ)
    with ChaserClient(key, api_url) as client:
        sessions = [one for one in client.list_all() if everything or _may_be_open(one)]
    known = known_ids(read_state_dir(os.environ), api_url, key)
    now = utc_now()
    if as_json:
        print(json.dumps([_as_json(session, known, now) for session in sessions], indent=2))
        return 0
    if not sessions:
        print("no sessions" if everything else "no open sessions")
        return 0
    rows: list[tuple[str, ...]] = [("ID", "STATUS", "AGE", "LIFE LEFT", "DEVICE", "LEDGER")]
    rows += [_row(session, known, now) for session in sessions]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0


def _may_be_open(session: Session) -> bool:
    # An unknown status may well be an open one; only what has surely ended is left out.
    return session.status in _OPEN or (
        session.ended_at is None and session.status not in (SessionStatus.CLOSED, SessionStatus.ERROR)
    )


def _row(session: Session, known: dict[str, str], now: datetime) -> tuple[str, ...]:
    left = _seconds(now, session.expires_at) if _may_be_open(session) else None
    run = known.get(session.id)
    return (
        session.id,
        session.status,
        _shown(_seconds(session.created_at, now)),
        _shown(left),
        session.device or "-",
        f"run {run}" if run else "not ours",
    )


def _as_json(session: Session, known: dict[str, str], now: datetime) -> dict[str, object]:
    return {
        "id": session.id,
        "status": session.status,
        "device": session.device,
        "created_at": _time(session.created_at),
        "expires_at": _time(session.expires_at),
        "ended_at": _time(session.ended_at),
        "ended_reason": session.ended_reason,
        "age_seconds": _seconds(session.created_at, now),
        "life_left_seconds": _seconds(now, session.expires_at) if _may_be_open(session) else None,
        "run": known.get(session.id),
    }


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _seconds(since: datetime | None, until: datetime | None) -> float | None:
    return round((until - since).total_seconds(), 1) if since and until else None


def _shown(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    whole = max(int(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def reap(*, dry_run: bool, timeout: float) -> bool:
    """Settle dead runs of this key and print what was done; return True if nothing is left to do."""
    if not 0 < timeout < float("inf"):
        raise ConfigurationError(f"--timeout has to be seconds above 0, not {timeout:g}")
    report = settle_dead_runs(
        read_state_dir(os.environ), read_api_url(os.environ), read_key(), dry_run, timeout=timeout
    )
    for line in _lines(report):
        print(line)
    return not (report.unconfirmed or report.suspects or report.problems)


def _lines(report: SettleReport) -> list[str]:
    verb = "would be deleted" if report.dry_run else "deleted"
    lines = [f"{verb}: {session_id}" for session_id in report.deleted]
    lines += [f"not confirmed: {session_id}; run `chaser reap` again" for session_id in report.unconfirmed]
    for run in report.in_use:
        pids = ", ".join(map(str, run["pids"]))
        lines.append(f"in use: run {run['run']} still lives (process {pids}); it settles its own sessions")
    lines += [f"problem: {problem}" for problem in report.problems]
    for suspect in report.suspects:
        life = suspect["ttl_seconds"] or "not named"
        lines.append(
            f"answer lost: a session with ttl_seconds {life} may have been created between "
            f"{suspect['from']} and {suspect['until']}; it is gone by {suspect['gone_by']}"
        )
        lines += [f"  it may be {one['id']}; if it is yours: {one['command']}" for one in suspect["candidates"]]
    total = len(report.deleted)
    lines.append(f"{total} {'session' if total == 1 else 'sessions'} of {report.ledgers} dead runs {verb}")
    return lines
