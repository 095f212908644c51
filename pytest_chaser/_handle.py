"""`page.chaser`: the handle of the session behind a page, in the page's own flavour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ._background import spawn
from ._models import PreviewToken, Session
from ._secrets import SecretUrl, mask_url

if TYPE_CHECKING:
    from ._client import ChaserClient
    from .cdp import LoopThread, Page

T = TypeVar("T")


@dataclass
class Access:
    """What both flavours of a handle stand on: the session, its page, and the ways to ask about them."""

    session: Session
    page: Page
    loop: LoopThread
    client: Callable[[], ChaserClient]
    views: dict[bool, Any] = field(default_factory=dict)

    def view(self, *, asynchronous: bool) -> Any:
        """Return the page's view of one flavour, made on first use."""
        if asynchronous not in self.views:
            from .cdp import async_view, sync_view

            make, handle = (async_view, AsyncSessionHandle) if asynchronous else (sync_view, SessionHandle)
            self.views[asynchronous] = make(self.page, self.loop, handle(self))
        return self.views[asynchronous]

    def retire(self) -> None:
        """End every view: the page goes away."""
        from .cdp import retire

        for view in self.views.values():
            retire(view)

    async def ask(self, work: Callable[[ChaserClient], T]) -> T:
        """Ask the API on a thread of its own; runs on the loop thread."""
        import asyncio  # every pytest run loads this module, and few need it

        return await asyncio.wrap_future(spawn(lambda: work(self.client()), "chaser-handle"))

    async def wait(self, coro: Any) -> Any:
        """Await work of the loop thread from the caller's asyncio or trio task."""
        from .cdp._waiting_for_loop import wait_async

        return await wait_async(self.loop.submit(coro))


class _Handle:
    """What needs no waiting."""

    __slots__ = ("_access",)

    def __init__(self, access: Access) -> None:
        self._access = access

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id!r}, cdp_url={mask_url(self._access.session.cdp_url)!r})"

    @property
    def id(self) -> str:
        """The session's id, as the API and the dashboard know it."""
        return self._access.session.id

    @property
    def info(self) -> Session:
        """What the API said of the session when it was lent: device, region, times."""
        return self._access.session

    @property
    def cdp_url(self) -> str:
        """The secret address for any CDP client."""
        return SecretUrl(self._access.session.cdp_url or "")

    @property
    def isolation(self) -> str:
        """What keeps this page apart from earlier tests' pages: `context`, `reset` or `none`."""
        return str(self._access.page.isolation)

    @property
    def sync_page(self) -> Any:
        """The same page for code that does not await: a plain helper called from an async test's thread, say."""
        return self._access.view(asynchronous=False)

    @property
    def async_page(self) -> Any:
        """The same page for code that awaits."""
        return self._access.view(asynchronous=True)


class SessionHandle(_Handle):
    """The handle of a sync page: its methods block."""

    __slots__ = ()

    def screenshot(self) -> bytes:
        """Return the session's framebuffer as PNG, from the API: it comes also when the page hangs."""
        return self._access.client().screenshot(self.id)

    def live_view(self) -> PreviewToken:
        """Mint a token for the live view; its `url` is a secret."""
        return self._access.client().preview_token(self.id)

    def storage_state(self) -> dict[str, Any]:
        """Return cookies and storages as plain data, for `chaser_storage_state`."""
        state: dict[str, Any] = self._access.loop.run(self._access.page.storage_state())
        return state


class AsyncSessionHandle(_Handle):
    """The handle of an async page: its methods are awaited, from asyncio or trio."""

    __slots__ = ()

    async def screenshot(self) -> bytes:
        """Return the session's framebuffer as PNG, from the API: it comes also when the page hangs."""
        picture: bytes = await self._access.wait(self._access.ask(partial(_screenshot, session_id=self.id)))
        return picture

    async def live_view(self) -> PreviewToken:
        """Mint a token for the live view; its `url` is a secret."""
        token: PreviewToken = await self._access.wait(self._access.ask(partial(_preview, session_id=self.id)))
        return token

    async def storage_state(self) -> dict[str, Any]:
        """Return cookies and storages as plain data, for `chaser_storage_state`."""
        state: dict[str, Any] = await self._access.wait(self._access.page.storage_state())
        return state


def _screenshot(client: ChaserClient, session_id: str) -> bytes:
    return client.screenshot(session_id)


def _preview(client: ChaserClient, session_id: str) -> PreviewToken:
    return client.preview_token(session_id)
