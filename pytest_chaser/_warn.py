"""Warnings from hooks: an exception there ends the whole run, so not even `-W error` turns them into one."""

from __future__ import annotations

import warnings


def warn(warning: Warning) -> None:
    """Issue a warning that stays one: whoever made warnings errors still reads it in pytest's summary."""
    try:
        warnings.warn(warning, stacklevel=3)
    except type(warning):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn(warning, stacklevel=3)
