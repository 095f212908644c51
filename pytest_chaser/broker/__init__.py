"""The broker: one child process per run that alone creates and deletes sessions.

This package imports nothing at its top, so that a worker which only needs `BrokerSettings` pays for nothing else.
"""

from __future__ import annotations
