"""Loaded by schemathesis (SCHEMATHESIS_HOOKS): its checks, except where the API's document means something else."""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance


@schemathesis.check
def valid_data_is_accepted(ctx: Any, response: Any, case: Any) -> bool | None:
    """A cursor is opaque: which strings are cursors no schema can say, so an invented one may be refused."""
    if "cursor" in (case.query or {}):
        return None
    result: bool | None = positive_data_acceptance(ctx, response, case)
    return result
