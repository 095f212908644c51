"""The browser, over the Chrome DevTools Protocol: the only importer of pyppeteer and websockets.

Importing this package imports both, so the plugin does it when a test really uses a browser.
"""

from __future__ import annotations

from ._browser import Browser, connect
from ._deadlines import call_limit
from ._isolation import Isolation
from ._loop import LoopThread
from ._options import PageOptions
from ._page import Page
from ._public_expect import expect
from ._views import async_view, retire, sync_view, unwrap, view_like

__all__ = [
    "Browser",
    "Isolation",
    "LoopThread",
    "Page",
    "PageOptions",
    "async_view",
    "call_limit",
    "connect",
    "expect",
    "retire",
    "sync_view",
    "unwrap",
    "view_like",
]
