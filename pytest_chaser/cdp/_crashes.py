"""What may still be asked of a target whose process has crashed.

Chromium keeps every other call for the process that a navigation will start, which may never be: it answers none.
"""

from __future__ import annotations

from pyppeteer.errors import NetworkError

_DOMAINS = frozenset({"Browser", "Fetch", "IO", "Security", "Storage", "Target"})
_METHODS = frozenset(
    {
        "Network.clearBrowserCache",
        "Network.clearBrowserCookies",
        "Network.deleteCookies",
        "Network.getAllCookies",
        "Network.getCookies",
        "Network.setCookie",
        "Network.setCookies",
        "Page.bringToFront",
        "Page.close",
        "Page.getNavigationHistory",
        "Page.handleJavaScriptDialog",
        "Page.navigate",
        "Page.navigateToHistoryEntry",
        "Page.reload",
        "Page.resetNavigationHistory",
        "Page.stopLoading",
    }
)


def answers_after_crash(method: str) -> bool:
    """Tell whether the browser itself answers this method, without the target's process."""
    return method in _METHODS or method.partition(".")[0] in _DOMAINS


def crash_error(call: str, target_type: str) -> NetworkError:
    """Return the error of what needs the process that has crashed."""
    return NetworkError(
        f"Protocol error ({call}): the {target_type} has crashed; the page's goto() or reload() brings it back"
    )
