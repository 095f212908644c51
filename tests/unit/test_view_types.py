"""The committed types of the views are what the signatures say today."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest_chaser
from pytest_chaser import AsyncPage, SyncPage
from pytest_chaser._pages import NAMES

SCRIPT = Path(__file__).parents[2] / "scripts" / "view_types.py"


def test_the_committed_types_are_what_the_script_writes() -> None:
    checked = subprocess.run([sys.executable, SCRIPT, "--check"], check=False, timeout=60)

    assert checked.returncode == 0, "run scripts/view_types.py and commit pytest_chaser/_pages.pyi"


def test_every_view_type_has_both_flavours_and_the_public_ones_are_among_them() -> None:
    public = {name for name in pytest_chaser.__all__ if name.startswith(("Sync", "Async")) and "Client" not in name}

    assert public <= {f"{flavour}{name}" for flavour in ("Sync", "Async") for name in NAMES}


def test_only_views_are_instances_of_a_view_type() -> None:
    assert not isinstance(object(), SyncPage)
    assert not isinstance(None, AsyncPage)
