"""Write `pytest_chaser/_pages.pyi`: the types of what tests hold, from the signatures of the objects behind them.

Run it after a change to `cdp/` or of pyppeteer's version; a test compares its output with what is committed.
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyppeteer.browser
import pyppeteer.coverage
import pyppeteer.execution_context
import pyppeteer.input
import pyppeteer.page
import pyppeteer.target
import pyppeteer.tracing
import pyppeteer.worker
from pyee import EventEmitter

from pytest_chaser._pages import NAMES
from pytest_chaser.cdp import Browser, Page
from pytest_chaser.cdp._accessibility import Accessibility
from pytest_chaser.cdp._body import Response
from pytest_chaser.cdp._browser import Target
from pytest_chaser.cdp._connection import Session
from pytest_chaser.cdp._coverage import Coverage
from pytest_chaser.cdp._dialogs import Dialog
from pytest_chaser.cdp._element import ElementHandle
from pytest_chaser.cdp._expect import LocatorAssertions, PageAssertions
from pytest_chaser.cdp._fetch import Request
from pytest_chaser.cdp._frame import Frame
from pytest_chaser.cdp._locator import Locator
from pytest_chaser.cdp._view_expect import EXPECTATIONS

OUTPUT = Path(__file__).parent.parent / "pytest_chaser" / "_pages.pyi"

CLASSES: dict[str, type[Any]] = {
    "Accessibility": Accessibility,
    "Browser": Browser,
    "BrowserContext": pyppeteer.browser.BrowserContext,
    "CDPSession": Session,
    "ConsoleMessage": pyppeteer.page.ConsoleMessage,
    "Coverage": Coverage,
    "Dialog": Dialog,
    "ElementHandle": ElementHandle,
    "Frame": Frame,
    "JSHandle": pyppeteer.execution_context.JSHandle,
    "Keyboard": pyppeteer.input.Keyboard,
    "Locator": Locator,
    "LocatorAssertions": LocatorAssertions,
    "Mouse": pyppeteer.input.Mouse,
    "Page": Page,
    "PageAssertions": PageAssertions,
    "Request": Request,
    "Response": Response,
    "Target": Target,
    "Touchscreen": pyppeteer.input.Touchscreen,
    "Tracing": pyppeteer.tracing.Tracing,
    "Worker": pyppeteer.worker.Worker,
}

# What the signatures do not say: pyppeteer leaves it out, or ours say Any where the value comes from its base.
RETURNS = {
    ("Frame", "childFrames"): "list[Frame]",
    ("Frame", "evaluateHandle"): "JSHandle",
    ("Frame", "querySelector"): "ElementHandle | None",
    ("Frame", "querySelectorAll"): "list[ElementHandle]",
    ("Frame", "waitForSelector"): "ElementHandle | None",
    ("Frame", "waitForXPath"): "ElementHandle | None",
    ("Frame", "xpath"): "list[ElementHandle]",
    ("JSHandle", "jsonValue"): "Any",
    ("ElementHandle", "jsonValue"): "Any",
    ("Locator", "element"): "ElementHandle",
    ("Page", "evaluateHandle"): "JSHandle",
    ("Page", "frames"): "list[Frame]",
    ("Page", "goBack"): "Response | None",
    ("Page", "goForward"): "Response | None",
    ("Page", "goto"): "Response | None",
    ("Page", "mainFrame"): "Frame",
    ("Page", "reload"): "Response | None",
    ("Page", "screenshot"): "bytes",
    ("Page", "waitForNavigation"): "Response | None",
    ("Page", "waitForRequest"): "Request",
    ("Page", "waitForResponse"): "Response",
    ("Page", "waitForSelector"): "ElementHandle | None",
    ("Page", "waitForXPath"): "ElementHandle | None",
    ("Response", "buffer"): "bytes",
    ("Response", "text"): "str",
}
EXPECTED = {
    "expect_navigation": "Response | None",
    "expect_request": "Request",
    "expect_response": "Response",
    "expect_popup": "Page",
    "expect_download": "Download",
    "expect_console_message": "ConsoleMessage",
    "expect_dialog": "Dialog",
    "expect_event": "Any",
}
# Machinery of ours and of pyppeteer's that is public only between modules.
HIDDEN = {
    "abandon", "close_page", "create", "dispatched", "fault", "frameManager", "handler_ended", "handler_started",
    "isolation_notice", "leave_to_test", "left", "listen", "lost", "move_to", "new_page", "observer", "open",
    "opened_pages", "raise_fault", "state", "stopped", "raise_fault_of_ended", "connection", "guard", "Events",
    "PaperFormats",
}  # fmt: skip

_BUILTINS = {"str", "int", "float", "bool", "bytes", "dict", "list", "tuple", "set", "object", "None", "type"}
_RENAMED = {"Dict": "dict", "List": "list", "Tuple": "tuple", "Set": "set", "NoneType": "None"}
_BARE = {"dict": "dict[str, Any]", "list": "list[Any]", "Callable": "Callable[..., Any]", "tuple": "tuple[Any, ...]"}
_ABSTRACT = {"Any", "Download", "Callable", "Iterable", "Iterator", "Mapping", "Path", "Sequence", "Pattern"}
_MARKS: dict[Any, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
_AWAITED = {"Awaitable", "Future", "Coroutine", "Task"}
_EMITTER = """\
    def on(self, event: str, f: Callable[..., Any] = ...) -> Any: ...
    def once(self, event: str, f: Callable[..., Any] = ...) -> Any: ...
    def remove_listener(self, event: str, f: Callable[..., Any]) -> None: ...
"""
_HEADER = """\
# Generated by scripts/view_types.py from the signatures of pyppeteer {version} and of `cdp/`. Do not edit.
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from re import Pattern
from types import TracebackType
from typing import Any, Generic, TypeVar

from ._handle import AsyncSessionHandle, SessionHandle
from .cdp._download import Download

T = TypeVar("T")

NAMES: tuple[str, ...]

class SyncExpectation(Generic[T]):
    def __enter__(self) -> SyncExpectation[T]: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def value(self) -> T: ...

class AsyncExpectation(Generic[T]):
    async def __aenter__(self) -> AsyncExpectation[T]: ...
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...
    @property
    def value(self) -> Awaitable[T]: ...
"""


class _Annotation:
    """One annotation, read as text, for one flavour of views."""

    def __init__(self, flavour: str) -> None:
        self._flavour = flavour

    def render(self, annotation: Any) -> str:
        if annotation is inspect.Parameter.empty:
            return "Any"
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        return self._node(ast.parse(text, mode="eval").body)

    def _node(self, node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return self._constant(node.value)
        if isinstance(node, ast.Attribute | ast.Name):
            name = self._name(node.attr if isinstance(node, ast.Attribute) else node.id)
            return _BARE.get(name, name)
        if isinstance(node, ast.Call):  # ForwardRef('Frame')
            return self._node(node.args[0])
        if isinstance(node, ast.BinOp):
            return self._union([node.left, node.right])
        if isinstance(node, ast.Subscript):
            return self._subscript(node)
        if isinstance(node, ast.List):
            return f"[{', '.join(map(self._node, node.elts))}]"
        raise ValueError(ast.dump(node))

    def _constant(self, value: Any) -> str:
        if value is None or value is ...:
            return "None" if value is None else "..."
        return self._node(ast.parse(value, mode="eval").body)

    def _name(self, name: str) -> str:
        name = _RENAMED.get(name, name).removeprefix("Pyppeteer")
        if name in NAMES:
            return f"{self._flavour}{name}"
        if name == "Text":
            return "str | Pattern[str]"
        return name if name in _BUILTINS | _ABSTRACT else "Any"

    def _subscript(self, node: ast.Subscript) -> str:
        outer = node.value.attr if isinstance(node.value, ast.Attribute) else getattr(node.value, "id", "Any")
        inner = list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
        if outer == "Optional":
            return self._union([*inner, ast.Constant(None)])
        if outer == "Union":
            return self._union(inner)
        if outer in _AWAITED:
            return self._node(inner[-1])
        name = self._name(outer)
        return "Any" if name == "Any" else f"{name}[{', '.join(map(self._node, inner))}]"

    def _union(self, nodes: list[ast.expr]) -> str:
        parts: list[str] = []
        for node in nodes:
            parts += [part for part in self._node(node).split(" | ") if part not in parts]
        return "Any" if "Any" in parts else " | ".join(parts)


def _members(kind: type[Any]) -> Iterator[tuple[str, Any]]:
    for name in sorted({name for base in _bases(kind) for name in vars(base)}):
        if not name.startswith("_") and name not in HIDDEN:
            yield name, inspect.getattr_static(kind, name)


def _bases(kind: type[Any]) -> list[type[Any]]:
    return [base for base in kind.__mro__ if base not in (object, EventEmitter)]


def _signature(function: Any) -> inspect.Signature:
    return inspect.signature(inspect.unwrap(function))


def _awaited(function: Any) -> bool:
    if inspect.iscoroutinefunction(function):
        return True
    annotation = _signature(function).return_annotation
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return any(text.split("[")[0].endswith(name) for name in _AWAITED)


def _returned(owner: str, name: str, kind: type[Any], annotation: _Annotation) -> str:
    if (owner, name) in RETURNS:
        return annotation.render(RETURNS[owner, name])
    for base in _bases(kind):
        found = vars(base).get(name)
        function = found.fget if isinstance(found, property) else found
        if callable(function):
            text = annotation.render(_signature(function).return_annotation)
            if text != "Any":
                return text
    return "Any"


def _parameters(function: Any, annotation: _Annotation, *, bound: bool) -> str:
    parts = []
    starred = False
    parameters = list(_signature(function).parameters.values())
    for parameter in parameters[1:] if bound else parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        mark = _MARKS.get(parameter.kind, "")
        starred = starred or mark == "*"
        # pyppeteer says `str` of the arguments of a page's function, which may be anything that JSON knows.
        kind = "Any" if (mark, parameter.name) == ("*", "args") else annotation.render(parameter.annotation)
        if parameter.default is None and kind != "Any" and "None" not in kind.split(" | "):
            kind = f"{kind} | None"
        default = "" if parameter.default is inspect.Parameter.empty else " = ..."
        parts.append(f"{mark}{parameter.name}: {kind}{default}")
    return ", ".join(["self", *parts])


def _method(owner: str, name: str, found: Any, kind: type[Any], flavour: str) -> str:
    annotation = _Annotation(flavour)
    returned = _returned(owner, name, kind, annotation)
    if isinstance(found, property):
        return f"    @property\n    def {name}(self) -> {returned}: ...\n"
    function = found.__func__ if isinstance(found, staticmethod) else found
    parameters = _parameters(function, annotation, bound=not isinstance(found, staticmethod))
    if flavour == "Async" and _awaited(function):
        if inspect.iscoroutinefunction(function):
            return f"    async def {name}({parameters}) -> {returned}: ...\n"
        returned = f"Coroutine[Any, Any, {returned}]"
    return f"    def {name}({parameters}) -> {returned}: ...\n"


def _class(owner: str, flavour: str) -> str:
    kind = CLASSES[owner]
    base = f"({flavour}JSHandle)" if owner == "ElementHandle" else ""
    lines = [f"class {flavour}{owner}{base}:\n"]
    if owner == "Page":
        handle = "SessionHandle" if flavour == "Sync" else "AsyncSessionHandle"
        lines.append(f"    @property\n    def chaser(self) -> {handle}: ...\n")
        if flavour == "Async":
            # The fixtures' factory gives a page at once; an async test may await it all the same.
            lines.append("    def __await__(self) -> Generator[Any, None, AsyncPage]: ...\n")
    for name, found in _members(kind):
        if isinstance(found, property) or inspect.isfunction(inspect.unwrap(found)) or isinstance(found, staticmethod):
            lines.append(_method(owner, name, found, kind, flavour))
    if issubclass(kind, EventEmitter):
        lines.append(_EMITTER)
        lines += [line for name in EXPECTATIONS if (line := _expectation(name, kind, flavour))]
    return "".join(lines) if len(lines) > 1 else f"{lines[0]}    ...\n"


def _expectation(name: str, kind: type[Any], flavour: str) -> str:
    method = EXPECTATIONS[name].method
    # Any emitter can wait for an event; what a page says and asks is only a page's.
    if not hasattr(kind, method) if method else kind is not Page and name != "expect_event":
        return ""
    value = _Annotation(flavour).render(EXPECTED[name])
    return f"    def {name}(self, *args: Any, **kwargs: Any) -> {flavour}Expectation[{value}]: ...\n"


_EXPECT = """
@overload
def expect(subject: SyncLocator, *, timeout: float = ...) -> SyncLocatorAssertions: ...
@overload
def expect(subject: AsyncLocator, *, timeout: float = ...) -> AsyncLocatorAssertions: ...
@overload
def expect(subject: SyncPage | SyncFrame, *, timeout: float = ...) -> SyncPageAssertions: ...
@overload
def expect(subject: AsyncPage | AsyncFrame, *, timeout: float = ...) -> AsyncPageAssertions: ...
"""


def render() -> str:
    """Return the text of the stub file."""
    from importlib.metadata import version

    classes = "\n".join(_class(name, flavour) for flavour in ("Sync", "Async") for name in NAMES)
    header = _HEADER.format(version=version("pyppeteer")).replace("TypeVar\n", "TypeVar, overload\n", 1)
    return f"{header}\n{classes}{_EXPECT}"


def main() -> int:
    """Write the file; with `--check`, say whether it is as it should be."""
    text = render()
    if "--check" in sys.argv[1:]:
        return int(OUTPUT.read_text(encoding="utf-8") != text)
    OUTPUT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
