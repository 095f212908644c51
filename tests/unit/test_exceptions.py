"""The error tree: one base to catch, data as attributes, and a way through pickle."""

from __future__ import annotations

import pickle
import re

import pytest

from pytest_chaser import _exceptions
from pytest_chaser._exceptions import (
    ApiConnectionError,
    ApiStatusError,
    CdpConnectionError,
    CdpTimeout,
    ChaserError,
    ChaserWarning,
    LedgerError,
    ProvisioningTimeout,
    QuotaExceeded,
)

CLASSES = [value for value in vars(_exceptions).values() if isinstance(value, type)]
ERRORS = [value for value in CLASSES if issubclass(value, ChaserError)]
WARNINGS = [value for value in CLASSES if issubclass(value, Warning)]


def drawn_parents() -> dict[str, str]:
    """Read the tree in the module's docstring: the name of each class, and of the one it hangs from."""
    parents: dict[str, str] = {}
    path: list[str] = []
    for line in (_exceptions.__doc__ or "").splitlines():
        found = re.match(r"^([│ ]*)(?:[├└]── )?([A-Z]\w+)(?:  |$)", line)
        if not found:
            continue
        depth = len(found[1]) // 4 + (1 if "──" in line else 0)
        del path[depth:]
        parents[found[2]] = path[-1] if path else ""
        path.append(found[2])
    return parents


@pytest.mark.parametrize("error", CLASSES, ids=lambda value: value.__name__)
def test_a_class_hangs_where_the_tree_draws_it(error: type[Exception]) -> None:
    drawn = drawn_parents()
    assert error.__name__ in drawn
    if drawn[error.__name__]:
        assert drawn[error.__name__] in {base.__name__ for base in error.__bases__}


def test_the_tree_draws_no_class_that_does_not_exist() -> None:
    assert set(drawn_parents()) == {value.__name__ for value in CLASSES}


def test_everything_is_an_error_or_a_warning_of_ours() -> None:
    assert [value for value in CLASSES if not issubclass(value, (ChaserError, ChaserWarning))] == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda value: value.__name__)
def test_an_error_needs_no_more_than_a_message(error: type[ChaserError]) -> None:
    raised = error("the session went away")
    assert str(raised) == raised.message == "the session went away"


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (ApiConnectionError("no route", method="GET", path="/v1/sessions", sent=False), {"sent": False}),
        (ApiStatusError("busy", status=503, code="unavailable", retry_after=2.5), {"status": 503, "retry_after": 2.5}),
        (QuotaExceeded("full", status=429, method="POST"), {"status": 429, "method": "POST"}),
        (ProvisioningTimeout("slow", session_id="sess_1", status="creating", waited=60.0), {"waited": 60.0}),
        (CdpConnectionError("refused", host="cdp.chaser.sh", status=401), {"host": "cdp.chaser.sh", "status": 401}),
        (CdpTimeout("silent", call="Page.navigate", timeout=30.0), {"call": "Page.navigate", "timeout": 30.0}),
        (LedgerError("read-only", path="/var/chaser"), {"path": "/var/chaser"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_keeps_its_message_and_data_through_pickle(error: ChaserError, data: dict[str, object]) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)
    assert data.items() <= vars(copy).items()


def test_a_call_without_an_answer_can_be_caught_as_a_timeout() -> None:
    assert issubclass(CdpTimeout, TimeoutError)


@pytest.mark.parametrize("warning", WARNINGS, ids=lambda value: value.__name__)
def test_a_warning_is_shown_by_default(warning: type[Warning]) -> None:
    assert issubclass(warning, UserWarning)
