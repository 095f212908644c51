"""Evaluation in one round trip instead of three, and handles that are our element handles.

pyppeteer evaluates to a handle, reads its value and disposes of it: three messages, with a navigation able to lose a
value that a script had already returned. Asking for the value at once is a third of the time and has no such gap.
"""

from __future__ import annotations

import math
import re
from typing import Any

from pyppeteer import helper
from pyppeteer.errors import ElementHandleError, NetworkError
from pyppeteer.execution_context import EVALUATION_SCRIPT_URL, SOURCE_URL_REGEX
from pyppeteer.execution_context import ExecutionContext as PyppeteerContext

_SUFFIX = f"//# sourceURL={EVALUATION_SCRIPT_URL}"

# What Chromium says of a value that has no JSON form; pyppeteer's answer to these is None.
_NO_VALUE = ("Object reference chain is too long", "Object couldn't be returned by value")

_NEVER_RAN = ("Cannot find context with specified id", "uniqueContextId not found")


def never_ran(error: BaseException) -> bool:
    """Tell whether a script was refused before its first statement, so that sending it again repeats nothing."""
    return isinstance(error, NetworkError) and any(phrase in str(error) for phrase in _NEVER_RAN)


_COMMENTS = re.compile(r"(\s+|//[^\n]*(\n|$)|/\*.*?\*/)*", re.DOTALL)
_FUNCTION = re.compile(r"(async\b\s*)?(function\b|[\w$]+\s*=>)")
_PARAMETERS = re.compile(r"(async\b\s*)?\(")


def is_function(script: str) -> bool:
    """Tell a function from an expression that has one in it, such as `all.map(one => one.id)`."""
    begin = _COMMENTS.match(script)
    text = script[begin.end() :] if begin else script
    if _FUNCTION.match(text):
        return True
    opening = _PARAMETERS.match(text)
    if opening is None:
        return False
    depth = 0
    for position in range(opening.end() - 1, len(text)):
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return text[position + 1 :].lstrip().startswith("=>")
    return False


def remote_value(remote: dict[str, Any]) -> Any:
    """The Python value of a remote object that was returned by value."""
    unserializable = remote.get("unserializableValue")
    if isinstance(unserializable, str) and unserializable.endswith("n"):
        return int(unserializable[:-1])
    return helper.valueFromRemoteObject(remote)


class ExecutionContext(PyppeteerContext):
    """One JavaScript world of one document."""

    async def evaluate(self, pageFunction: str, *args: Any, force_expr: bool = False) -> Any:
        """Run a function or an expression and return its value; None for a value without a JSON form."""
        try:
            remote = await self._run(pageFunction, args, force_expr, by_value=True)
        except NetworkError as error:
            if any(phrase in str(error) for phrase in _NO_VALUE):
                return None
            raise
        return remote_value(remote)

    async def ask(self, script: str, *args: Any) -> Any:
        """Evaluate a question of ours that is answered at once: it is no user's gesture and gives no promise."""
        return remote_value(await self._run(script, args, force_expr=False, by_value=True, question=True))

    async def evaluateHandle(self, pageFunction: str, *args: Any, force_expr: bool = False) -> Any:
        """Run a function or an expression and return a handle of its value."""
        return self._objectHandleFactory(await self._run(pageFunction, args, force_expr, by_value=False))

    async def _run(
        self, script: str, args: tuple[Any, ...], force_expr: bool, *, by_value: bool, question: bool = False
    ) -> dict[str, Any]:
        common: dict[str, Any] = {"returnByValue": by_value}
        if not question:
            common.update(awaitPromise=True, userGesture=True)
        if force_expr or (not args and not is_function(script)):
            expression = script if SOURCE_URL_REGEX.match(script) else f"{script}\n{_SUFFIX}"
            params = {"expression": expression, "contextId": self._contextId, **common}
            answer = await self._client.send("Runtime.evaluate", params)
        else:
            params = {
                "functionDeclaration": f"{script}\n{_SUFFIX}\n",
                "executionContextId": self._contextId,
                "arguments": [self._convertArgument(arg) for arg in args],
                **common,
            }
            answer = await self._client.send("Runtime.callFunctionOn", params)
        details = answer.get("exceptionDetails")
        if details:
            raise ElementHandleError(f"Evaluation failed: {helper.getExceptionMessage(details)}")
        result: dict[str, Any] = answer["result"]
        return result

    def _convertArgument(self, arg: Any) -> dict[str, Any]:
        if isinstance(arg, float) and math.isnan(arg):
            return {"unserializableValue": "NaN"}
        converted: dict[str, Any] = super()._convertArgument(arg)
        return converted
