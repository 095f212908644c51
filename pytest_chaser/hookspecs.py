"""The hooks that pytest-chaser calls: implement them in a `conftest.py` or a plugin."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ._models import Session


def pytest_chaser_session_created(config: pytest.Config, session: Session) -> None:
    """A session was lent to this process for the first time: it is ready, and no test has used it.

    Called in the process that runs the tests (an xdist worker has its own). Sessions that were provisioned ahead and
    that no test came to need are not reported.
    """


def pytest_chaser_session_deleted(config: pytest.Config, session: Session) -> None:
    """A session that this process was lent is about to be handed over to be deleted.

    Not called for what ends with a process that was killed: that is deleted too, but nobody is left to call.
    """


def pytest_chaser_capture(
    item: pytest.Item, report: pytest.TestReport, folder: Path
) -> str | Path | Iterable[str | Path] | None:
    """Evidence of a failed phase was captured; the page is still open.

    Write files of your own into `folder`, and return their paths for the reports to show.
    """
