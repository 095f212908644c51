"""`exposeFunction` with async handlers, errors that reach the page, and frames of other processes.

pyppeteer sends the return value of the Python function as it is, which for a coroutine function is a coroutine, and
lets the promise in the page wait for ever if the function raises.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from typing import Any

from pyppeteer.errors import PageError

from ._sessions import Sessions, lenient

_INSTALL = """name => {
  const binding = globalThis[name];
  if (binding && binding.calls) return;
  const calls = new Map();
  let last = 0;
  globalThis[name] = (...args) => new Promise((resolve, reject) => {
    const seq = ++last;
    calls.set(seq, {resolve, reject});
    binding(JSON.stringify({name, seq, args}));
  });
  globalThis[name].calls = calls;
}"""
_DELIVER = """(name, seq, failed, value) => {
  const call = globalThis[name].calls.get(seq);
  globalThis[name].calls.delete(seq);
  if (failed) call.reject(new Error(value)); else call.resolve(value);
}"""


class Bindings:
    """Python functions that the page's scripts can call."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._functions: dict[str, Callable[..., Any]] = {}

    def listen(self, client: Any) -> None:
        """Take the calls of one process."""
        client.on("Runtime.bindingCalled", lambda event: client._loop.create_task(self._called(client, event)))

    async def expose(self, name: str, function: Callable[..., Any], frames: list[Any]) -> None:
        """Make `window[name]` call the function, in these frames and in all later documents."""
        if name in self._functions:
            raise PageError(f'Failed to add page binding with name {name}: window["{name}"] already exists!')
        self._functions[name] = function
        source = f"({_INSTALL})({json.dumps(name)})"
        script = "Page.addScriptToEvaluateOnNewDocument"
        await self._sessions.everywhere("Runtime.addBinding", {"name": name}, f"binding {name}")
        await self._sessions.everywhere(script, {"source": source}, f"binding {name} script")
        for frame in frames:
            await lenient(frame.evaluate(source, force_expr=True))

    async def _called(self, client: Any, event: dict[str, Any]) -> None:
        call = json.loads(event["payload"])
        function = self._functions.get(call["name"])
        if function is None:
            return
        failed, value = False, None
        try:
            value = function(*call["args"])
            if inspect.isawaitable(value):
                value = await value
            text = json.dumps(value)
        except Exception as error:  # noqa: BLE001 - it is the page's to handle, as the error of its call
            failed, text = True, json.dumps(f"{type(error).__name__}: {error}")
        arguments = f"{json.dumps(call['name'])}, {call['seq']}, {json.dumps(failed)}, {text}"
        params = {"expression": f"({_DELIVER})({arguments})", "contextId": event["executionContextId"]}
        await lenient(client.send("Runtime.evaluate", params))
