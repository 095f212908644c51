"""Serve a members' area that wants a sign-in, and sign in for the tests that ask for it."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs

import pytest

from pytest_chaser import SyncPage

STYLE = """
body { margin: 0; background: #eef1f6; color: #1d2433; font: 17px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 420px; margin: 12vh auto 0; padding: 26px; background: white; border-radius: 16px;
  box-shadow: 0 6px 24px #1d243322; }
h1 { margin: 0 0 14px; font-size: 24px; }
input { width: 100%; box-sizing: border-box; font: inherit; padding: 11px; border: 1.5px solid #d5dbe7;
  border-radius: 10px; margin: 4px 0 14px; }
button { width: 100%; background: #3454d1; color: white; border: 0; border-radius: 10px; padding: 12px; font: inherit;
  font-weight: 600; }
.error { color: #c8553d; }
"""
SIGN_IN = """<h1>Sign in</h1>{note}<form method="post" action="/sign-in">
<label>Name <input name="name"></label><label>Password <input name="password" type="password"></label>
<button>Sign in</button></form>"""
MEMBERS = """<h1>Welcome back, {name}</h1><p id="points">You have 1,280 points.</p>"""


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        cookies = dict(part.strip().split("=", 1) for part in self.headers.get("Cookie", "").split(";") if "=" in part)
        if self.path.startswith("/members") and "member" not in cookies:
            self.redirect("/sign-in")
        elif self.path.startswith("/members"):
            self.page("Members", MEMBERS.format(name=cookies["member"]))
        else:
            self.page("Sign in", SIGN_IN.format(note=""))

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form.get("password") == ["correct horse"]:
            self.redirect("/members", cookie=f"member={form['name'][0]}; HttpOnly; Path=/")
        else:
            self.page("Sign in", SIGN_IN.format(note='<p class="error">Name or password is wrong.</p>'))

    def page(self, title: str, body: str) -> None:
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
        content = (
            f"<!doctype html><html><head>{head}<style>{STYLE}</style></head><body><main>{body}</main></body></html>"
        )
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(content.encode())

    def redirect(self, target: str, cookie: str | None = None) -> None:
        self.send_response(303)
        self.send_header("Location", target)
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Keep the test run's output free of requests."""


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the members' area."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def member_page(chaser_session: SyncPage, site: str) -> SyncPage:
    """A page that is signed in already."""
    chaser_session.goto(f"{site}/sign-in")
    chaser_session.locator("input[name=name]").fill("Ada")
    chaser_session.locator("input[name=password]").fill("correct horse")
    chaser_session.locator("button").click()
    chaser_session.waitForSelector("#points")
    return chaser_session
