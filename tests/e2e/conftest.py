"""What the end-to-end tests share: one Chromium of their own, a site with two origins, a page on the loop thread."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_chaser.cdp._browser import Browser, connect
from pytest_chaser.cdp._loop import LoopThread
from pytest_chaser.emulator._phone import ADDRESS_BAR_PAGES
from pytest_chaser.emulator._profiles import ProfileRoot

STATIC = Path(__file__).parent / "site"


class Site:
    """A local web site. `origin` and `other` are two sites to a browser, and one server."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.silent = threading.Event()
        handler = functools.partial(_Handler, self)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        port = self._server.server_address[1]
        self.origin = f"http://127.0.0.1:{port}"
        self.other = f"http://localhost:{port}"
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            self.refused = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def seen(self, path: str) -> list[tuple[str, str, dict[str, str], bytes]]:
        """The requests for a path: method, path, headers (lower case), body."""
        return [request for request in self.requests if request[1].split("?")[0] == path]

    def close(self) -> None:
        self.silent.set()
        self._server.shutdown()
        self._server.server_close()


def _page(title: str, body: str = "") -> tuple[int, dict[str, str], bytes]:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>{body}</body>'
    )
    return 200, {"Content-Type": "text/html; charset=utf-8"}, html.encode()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, site: Site, *args: Any) -> None:
        self.site = site
        super().__init__(*args)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.site.requests.append((self.command, self.path, headers, body))
        path = self.path.split("?")[0]
        route = getattr(self, f"page_{path.strip('/').replace('-', '_').replace('.', '_') or 'index'}", None)
        if route is not None:
            self._answer(*route(headers, body))
            return
        static = STATIC / path.lstrip("/")
        if static.is_file():
            kinds = {".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css"}
            kind = kinds.get(static.suffix, "application/octet-stream")
            self._answer(200, {"Content-Type": kind}, static.read_bytes())
        else:
            self._answer(404, {"Content-Type": "text/plain"}, b"nothing here")

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 304:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:
            self.close_connection = True  # a page that was closed meanwhile

    def page_favicon_ico(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        # New headless asks for it by itself; a 404 would be a console message at a moment of its own.
        return 204, {}, b""

    def page_index(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return _page("Home", '<h1 id="head">Home</h1><a id="next" href="/second">second</a>')

    def page_second(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return _page("Second", '<h1 id="head">Second</h1>')

    def page_third(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return _page("Third", '<h1 id="head">Third</h1>')

    def page_echo(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        lines = [self.command, self.path, *(f"{name}: {value}" for name, value in sorted(headers.items())), "", ""]
        return 200, {"Content-Type": "text/plain; charset=utf-8"}, "\n".join(lines).encode() + body

    def page_json(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, '{"name": "Zoë"}'.encode()

    def page_redirect(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 302, {"Location": "/second"}, b""

    def page_redirect_keeping(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 307, {"Location": "/echo"}, b""

    def page_secret(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if headers.get("authorization") == "Basic dXNlcjpwYXNz":  # user:pass
            return _page("Secret")
        return 401, {"WWW-Authenticate": 'Basic realm="site"', "Content-Type": "text/html"}, b"<title>No</title>no"

    def page_cached(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if headers.get("if-none-match") == '"one"':
            return 304, {"ETag": '"one"', "Cache-Control": "no-cache"}, b""
        status, extra, content = _page("Cached")
        return status, {**extra, "ETag": '"one"', "Cache-Control": "no-cache"}, content

    def page_cacheable_js(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/javascript", "Cache-Control": "max-age=3600"}, b"window.cached = true;"

    def page_silent(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.site.silent.wait(60)
        self.close_connection = True
        return _page("Too late")

    def page_late_worker_js(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.site.silent.wait(0.3)
        return 200, {"Content-Type": "text/javascript"}, b"self.answer = 42"

    def page_cut_off(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
        return 200, {}, b""

    def page_big(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/plain"}, b"0123456789abcdef" * (20 * 65536)

    def page_big_bin(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/octet-stream"}, bytes(range(256)) * (20 * 4096)

    def page_latin(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/plain; charset=iso-8859-1"}, "café".encode("latin-1")

    def page_attachment(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        disposition = 'attachment; filename="report.bin"'
        return 200, {"Content-Type": "application/octet-stream", "Content-Disposition": disposition}, bytes(range(256))

    def page_broken_attachment(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        self.close_connection = True
        status, extra, content = self.page_attachment(headers, body)
        self.send_response(status)
        for name, value in {**extra, "Content-Length": "100000"}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        return 200, {}, b""

    def page_csp(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, extra, content = _page("Strict", '<p id="here">here</p>')
        return status, {**extra, "Content-Security-Policy": "default-src 'self'"}, content

    def page_set_cookie(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        status, extra, content = _page("Cookie")
        return status, {**extra, "Set-Cookie": "visited=yes; Path=/; HttpOnly"}, content

    def page_upload(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "text/plain"}, str(len(body)).encode()

    def page_cross_site(self, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        frame = f'<iframe id="theirs" src="{self.site.other}/form.html" width="500" height="400"></iframe>'
        return _page("Outer", f'<h1>Outer</h1><div style="height: 60px"></div>{frame}')


def _find_chromium() -> str:
    for name in (os.environ.get("CHASER_CHROME"), "chromium", "google-chrome", "chromium-browser", "chrome"):
        found = shutil.which(name) if name else None
        if found:
            return found
    pytest.fail("no Chromium: install one, or name it in CHASER_CHROME")


@pytest.fixture(scope="session")
def profiles() -> Iterator[ProfileRoot]:
    """A folder for profiles: browsers that run on one end when this process does, whatever way."""
    root = ProfileRoot()
    yield root
    root.close()


@pytest.fixture(scope="session")
def chromium_url(profiles: ProfileRoot) -> Iterator[str]:
    """The CDP address of a Chromium with strict site isolation."""
    profile = profiles.new_profile()
    environment = {name: value for name, value in os.environ.items() if name != "HOME"}
    arguments = [
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--site-per-process",
        f"--disable-features={','.join(ADDRESS_BAR_PAGES)}",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
        "about:blank",
    ]
    process = subprocess.Popen(
        [_find_chromium(), *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # A browser that is killed leaves its temporary folder, so that has to be in one that is removed.
        env={**environment, "HOME": str(profile), "TMPDIR": str(profile)},
        start_new_session=True,
    )
    assert process.stderr is not None
    drain: threading.Thread | None = None
    try:
        for line in process.stderr:
            address = re.search(r"ws://\S+", line)
            if address:
                break
        else:
            pytest.fail("Chromium ended before it listened")
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        yield address.group(0)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        if drain is not None:
            drain.join(5)
        process.stderr.close()


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    """The local site; `site.origin` is where most pages are asked for."""
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def loop_thread() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.close()


@pytest.fixture(scope="session")
def browser(loop_thread: LoopThread, chromium_url: str) -> Iterator[Browser]:
    """A connection to the Chromium, on the loop thread."""
    browser = loop_thread.run(connect(chromium_url), 30)
    yield browser
    loop_thread.run(browser.disconnect(), 30)


@pytest.fixture
def run(loop_thread: LoopThread) -> Callable[..., Any]:
    """Run a coroutine on the loop thread and give its result."""
    return functools.partial(loop_thread.run, timeout=60)


@pytest.fixture
def page(browser: Browser, loop_thread: LoopThread) -> Iterator[Any]:
    """A page in a fresh context, as the loop thread sees it: only for code that runs there (`run`)."""
    page = loop_thread.run(browser.new_page(), 30)
    yield page
    loop_thread.run(browser.close_page(page), 30)
