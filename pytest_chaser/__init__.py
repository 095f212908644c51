"""End-to-end browser tests on Chaser's remote browsers, as a pytest plugin and a client library."""

from __future__ import annotations

__version__ = "0.1.0"
