"""Many tests on many workers against an account that allows few sessions."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from .conftest import Api, Workspace

if TYPE_CHECKING:
    from pytest_chaser import Session

    from .conftest import Suite

TESTS, LIMIT = 300, 5


def most_open(sessions: list[Session]) -> int:
    """Return how many were open at once."""
    changes: list[tuple[datetime, int]] = []
    for session in sessions:
        assert session.created_at is not None
        assert session.ended_at is not None
        changes += [(session.created_at, 1), (session.ended_at, -1)]
    return max(accumulate(change for _, change in sorted(changes)))


def pending_seconds(sessions: list[Session]) -> float:
    """Return the seconds that the sessions needed to get ready, all together."""
    return sum((one.ready_at - one.created_at).total_seconds() for one in sessions if one.ready_at and one.created_at)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_300_tests_on_8_workers_pass_within_a_limit_of_5(suite: Suite) -> None:
    suite.write(
        test_many=f"""
        import pytest

        @pytest.mark.parametrize("number", range({TESTS}))
        def test_remote(chaser_cdp_url, number):
            assert chaser_cdp_url
        """
    )
    api = Api(stub=True, quota=LIMIT, ready_delay=(2.0, 2.0))
    try:
        workspace = Workspace(api)
        suite.set(**workspace.environment)
        suite.run("-n", "8", plugins="xdist", timeout=500).assert_outcomes(passed=TESTS)
        calls = Counter(operation for operation, _ in api.calls)
        workspace.assert_settled(TESTS)
        sessions = workspace.sessions()
    finally:
        api.close()
    assert most_open(sessions) <= LIMIT
    assert calls["create"] - TESTS < TESTS / 5, "a limit that was met is not run into again and again"
    assert (calls["create"] + calls["get"]) / pending_seconds(sessions) < 2.0
