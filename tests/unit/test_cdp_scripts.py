"""Which scripts are functions and which are expressions."""

from __future__ import annotations

import pytest

from pytest_chaser.cdp._context import is_function


@pytest.mark.parametrize(
    "script",
    [
        "() => 1",
        "(a, b = f(1)) => a + b",
        "one => one.id",
        "async () => 1",
        "async one => 1",
        "async (one) => 1",
        "function () { return 1 }",
        "async function named() {}",
        "  // a comment\n  () => 1",
        "/* two\nlines */ $ => $",
    ],
)
def test_a_function_is_called(script: str) -> None:
    assert is_function(script)


@pytest.mark.parametrize(
    "script",
    [
        "1 + 1",
        "document.title",
        "[1, 2].map(one => one * 2)",
        "(() => 1)()",
        "(async () => { await (one => one)(1) })()",
        "new Promise(resolve => setTimeout(resolve, 1))",
        "(1)",
        "functional.call(() => 1)",
        "",
    ],
)
def test_an_expression_with_a_function_in_it_is_evaluated(script: str) -> None:
    assert not is_function(script)
