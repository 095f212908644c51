"""Events of the connection and its sessions, told to handlers that cannot end the reading of messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyee import EventEmitter
from pyppeteer.errors import PyppeteerError

logger = logging.getLogger(__name__)


class Emitter(EventEmitter):
    """An emitter whose handlers cannot end the reading of messages."""

    def _emit_run(self, f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            f(*args, **kwargs)
        except PyppeteerError as error:
            # pyppeteer's handlers raise when an event names a frame or context that a navigation has just removed.
            logger.debug("an event came too late: %s", error)
        except Exception:
            logger.warning("a handler of a CDP event failed", exc_info=True)

    def _emit_handle_potential_error(self, event: str, error: Any) -> None:
        """An `error` event that nobody listens to is no error of ours."""
