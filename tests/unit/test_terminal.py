"""The lines a run says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_chaser._config import Sources, resolve
from pytest_chaser._terminal import header, summary_lines, waiting_line
from pytest_chaser.broker._account import RunSummary


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({}, "chaser: local, this machine's browser; one session per test"),
        (
            {"CHASER_CHROME": "/usr/bin/chromium", "CHASER_SCOPE": "worker"},
            "chaser: local, this machine's browser (/usr/bin/chromium); one session per worker, isolation context",
        ),
        (
            {"CHASER_KEY": "key-0123456789"},
            "chaser: cloud, https://api.chaser.sh, key ***6789; one session per test",
        ),
        (
            {"CHASER_KEY": "short", "CHASER_API_URL": "http://user:pass@host:81/base"},
            "chaser: cloud, http://host:81, key ***; one session per test",
        ),
    ],
)
def test_the_header_names_the_mode_and_no_secret(environ: dict[str, str], line: str) -> None:
    settings = resolve(Sources(lambda _: None, environ, lambda _: None), Path("/suite"))
    assert header(settings) == line


def test_a_wait_says_what_it_is_for() -> None:
    assert waiting_line(None, 1.2) == "chaser: starting, 1 s"
    status = {"on_the_way": 2, "ready": 0, "leased": 1, "limit": 3, "open": 3, "last_answer": "429"}
    assert waiting_line(status, 7.0) == (
        "chaser: waiting for a session, 7 s (2 on the way, 0 ready, 1 in use, limit of 3 reached, last answer: 429)"
    )


def test_the_account_is_two_lines_when_nothing_is_left() -> None:
    summary = RunSummary(created=1, deleted=1, peak=1, used_seconds=4.6, paid_seconds=9.0)
    assert summary_lines(summary) == [
        "1 session created, 1 deleted, 0 not confirmed (at most 1 at once)",
        "waited 0.0 s for 0.0 s of provisioning; session time: 5 s used, 9 s paid",
    ]


def test_the_account_says_what_the_other_scope_would_have_cost() -> None:
    for scope, other in (("test", "worker"), ("worker", "test")):
        assert summary_lines(RunSummary(created=1, scope=scope, other_scope_seconds=3.0))[1].endswith(
            f"0 s paid, about 3 s with --chaser-scope {other}"
        )


def test_what_is_left_over_is_named_with_what_to_do() -> None:
    summary = RunSummary(
        created=2,
        unconfirmed=({"id": "sess_1", "expires_at": "2026-11-24T12:00:00+00:00", "last": "503"},),
        suspects=(
            {
                "ttl_seconds": 1234,
                "from": "a",
                "until": "b",
                "gone_by": "c",
                "candidates": [{"id": "sess_2", "command": "curl -X DELETE"}],
            },
        ),
        settled_from_earlier_runs=2,
        problems=("the disk is full",),
    )
    lines = summary_lines(summary)[2:]
    assert lines[0].startswith("not confirmed: sess_1, expires 2026-11-24T12:00:00+00:00 (last answer: 503)")
    assert "ttl_seconds 1234" in lines[1]
    assert lines[2] == "  it may be sess_2; if yours: curl -X DELETE"
    assert lines[3:] == ["2 sessions of earlier runs settled", "the disk is full"]
