"""Root of the test configuration: plugins only; fixtures live beside the tests that use them."""

from __future__ import annotations

pytest_plugins = ["pytester"]
