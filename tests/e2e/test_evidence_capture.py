"""The bundle comes whatever state the page is in, in time, in bounded size, and without a secret in it."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from pytest_chaser.cdp import sync_view
from pytest_chaser.evidence._naming import folder_name
from pytest_chaser.evidence._trace_file import read_trace

from .evidence_rig import FRAMEBUFFER_COLOR
from .test_evidence_reports import pixel, run_suite

HEAD = """
import threading, time
import pytest

def fill(page, body=""):
    page.setContent(f"<title>Shop</title><h1>Shop</h1>{body}")
"""

TROUBLES = {
    "hung": (
        """
def test_it(page):
    fill(page)
    page.evaluate("setTimeout(() => { for (;;); }, 10)")
    time.sleep(0.2)
    assert 0
""",
        "screenshot of the page: no answer within 2 s",
    ),
    "dialog": (
        """
def test_it(page):
    fill(page)
    opened = threading.Event()
    release = threading.Event()
    def answer(dialog):
        opened.set()
        release.wait(8)
    page.on("dialog", answer)
    page.evaluate("setTimeout(() => alert('Buy now?'), 10)")
    assert opened.wait(5)
    threading.Timer(6, release.set).start()
    assert 0
""",
        "screenshot of the page: a dialog is open (alert: Buy now?)",
    ),
    "crashed": (
        """
def test_it(page):
    fill(page)
    with pytest.raises(Exception):
        page.goto("chrome://crash", timeout=3000)
    assert 0
""",
        "screenshot of the page: ",
    ),
    "dropped socket": (
        """
def test_it(page, rig):
    fill(page)
    rig.loop.run(rig.browser.connection.dispose(politely=False), 5)
    assert 0
""",
        "screenshot of the page: ",
    ),
}


def bundle(folder: Path, attempt: int = 1) -> Path:
    return folder / "chaser-results" / folder_name("test_suite.py::test_it", attempt)


@pytest.mark.parametrize(
    ("suite", "miss"),
    [
        pytest.param(*trouble, id=name, marks=[pytest.mark.slow] if name in {"dialog", "crashed"} else [])
        for name, trouble in TROUBLES.items()
    ],
)
def test_a_page_that_cannot_answer_still_gives_a_bundle_within_five_seconds(
    tmp_path: Path, chromium_url: str, suite: str, miss: str
) -> None:
    run = run_suite(tmp_path, chromium_url, "--durations=0", suite=HEAD + suite, RIG_TIMES="1")
    folder = bundle(tmp_path)
    assert pixel((folder / "screenshot.png").read_bytes()) == FRAMEBUFFER_COLOR
    summary = (folder / "summary.txt").read_text("utf-8")
    assert "picture     the session's framebuffer, from the API: the page itself gave none" in summary
    assert miss in summary
    assert (folder / "console.txt").exists()
    json.loads((folder / "network.har").read_text("utf-8"))
    assert "framebuffer  chaser-results/" in run.output
    assert "1 failed" in run.output
    assert max(float(seconds) for seconds in re.findall(r"capture took ([\d.]+) s", run.output)) < 5


def test_a_session_that_expired_leaves_what_was_recorded_and_warns(tmp_path: Path, chromium_url: str) -> None:
    suite = (
        HEAD
        + """
def test_it(page, rig):
    fill(page)
    page.evaluate("console.log('last words')")
    page.title()
    rig.framebuffer_error = RuntimeError("session sess_1 is closed (expired)")
    rig.loop.run(rig.browser.connection.dispose(politely=False), 5)
    assert 0
"""
    )
    run = run_suite(tmp_path, chromium_url, suite=suite)
    folder = bundle(tmp_path)
    assert not (folder / "screenshot.png").exists()
    summary = (folder / "summary.txt").read_text("utf-8")
    assert "screenshot of the framebuffer: RuntimeError: session sess_1 is closed (expired)" in summary
    assert "last words" in (folder / "console.txt").read_text("utf-8")
    assert "EvidenceWarning" in run.output
    assert "1 failed" in run.output


@pytest.mark.slow
def test_a_huge_page_is_kept_within_bounds_and_says_what_was_cut(tmp_path: Path, chromium_url: str, site: Any) -> None:
    suite = (
        HEAD
        + f"""
def test_it(page):
    page.goto("{site.origin}/third")
    page.evaluate("() => {{ for (let i = 0; i < 10000; i++) console.log('line', i, 'x'.repeat(100)); }}")
    page.evaluate('''async () => {{
        for (let i = 0; i < 50; i++)
            await Promise.all([...Array(100).keys()].map(k => fetch('/cacheable.js').then(r => r.text())));
    }}''')
    rows = "'<p>row of text in a long table</p>'.repeat(160000)"
    page.evaluate(f"() => {{{{ document.body.innerHTML = '<div hidden>' + {{rows}}; }}}}")
    assert 0
"""
    )
    run_suite(tmp_path, chromium_url, suite=suite, RIG_TRACE="on")
    folder = bundle(tmp_path)
    sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sizes["trace.html"] < 10_000_000
    assert sizes["page.html"] < 2_100_000
    assert sizes["console.txt"] < 1_100_000
    assert sum(sizes.values()) < 20_000_000
    summary = (folder / "summary.txt").read_text("utf-8")
    assert re.search(r"\d{4} console lines: only the newest are kept", summary)
    assert re.search(r"\d{4} requests: only the newest are kept", summary)
    assert "characters were cut here" in (folder / "page.html").read_text("utf-8")
    assert "the document is too large" in json.dumps(read_trace((folder / "trace.html").read_text("utf-8")))


PLANTED = {
    "key": "ck_live_0123456789abcdef",
    "cookie": "c00kie-planted-5512",
    "token": "tok-planted-8841-zz",
    "password": "pass word&planted<9>",
}


def test_no_file_of_a_run_holds_a_planted_secret(tmp_path: Path, chromium_url: str, site: Any) -> None:
    suite = (
        HEAD
        + f"""
import os
KEY, COOKIE, TOKEN, PASSWORD = (os.environ[name] for name in ("P_KEY", "P_COOKIE", "P_TOKEN", "P_PASSWORD"))

def test_it(page):
    page.goto("{site.origin}/form.html")
    page.setCookie({{"name": "sid", "value": COOKIE}})
    page.setContent("<input id=pw type=password name=password><div id=out></div>")
    page.type("#pw", PASSWORD)
    page.evaluate('''async ([key, cookie, token]) => {{
        const password = document.getElementById('pw').value;
        for (const secret of [key, cookie, password]) {{
            console.log('saw ' + secret);
            console.error(JSON.stringify({{secret}}));
            document.getElementById('out').append(secret + ' ');
            await fetch('/json?q=' + encodeURIComponent(secret));
        }}
        console.log('Authorization: Bearer ' + token);
        await fetch('/echo?access_token=' + token, {{
            method: 'POST', headers: {{Authorization: 'Bearer ' + token, 'X-Key': key}},
            body: JSON.stringify({{password, token}}),
        }});
        document.cookie = 'other=' + cookie;
        document.title = 'for ' + token;
        history.pushState(null, '', '/form.html?token=' + token);
        setTimeout(() => {{ throw new Error('with ' + token) }});
    }}''', [KEY, COOKIE, TOKEN])
    page.title()
    raise AssertionError("it failed")
"""
    )
    run_suite(
        tmp_path,
        chromium_url,
        "--html=report.html",
        "--self-contained-html",
        "--junitxml=junit.xml",
        "--alluredir=allure",
        suite=suite,
        RIG_TRACE="on",
        RIG_SECRETS=PLANTED["key"],
        GITHUB_ACTIONS="true",
        GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"),
        **{f"P_{name.upper()}": value for name, value in PLANTED.items()},
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"trace.html", "page.html", "network.har", "report.html", "junit.xml", "summary.md"} <= {
        path.name for path in files
    }
    spellings = {
        name: [value, value.replace(" ", "%20"), value.replace("&", "&amp;")] for name, value in PLANTED.items()
    }
    spellings["password"] += [
        "pass%20word%26planted%3C9%3E",
        "pass word&amp;planted&lt;9&gt;",
        "planted&lt;9",
        "planted<9",
    ]
    for path in files:
        text = path.read_text("utf-8", "replace")
        if path.name == "trace.html" or 'id="trace-data"' in text:
            text += json.dumps(read_trace(text), ensure_ascii=False)
        found = [name for name, forms in spellings.items() if any(form in text for form in forms)]
        assert not found, path


def test_gates_fail_a_test_that_passed_and_the_fixtures_show_what_happened(
    tmp_path: Path, chromium_url: str, site: Any
) -> None:
    suite = (
        HEAD
        + f"""
def test_it(page, chaser_console, chaser_network):
    page.goto("{site.origin}/second")
    page.evaluate("() => {{ console.error('it broke'); console.error('to be ignored'); return fetch('/json') }}")
    assert [entry.text for entry in chaser_console.errors if "404" not in entry.text] == ["it broke", "to be ignored"]
    assert [entry.status for entry in chaser_network.find("/json$")] == [200]
"""
    )
    run = run_suite(tmp_path, chromium_url, suite=suite, RIG_FAIL_ON="console-error,http-5xx")
    assert "on the console (--chaser-fail-on console-error):" in run.output
    assert "[error] it broke" in run.output
    assert "[error] to be ignored" not in run.output.split("short test summary")[0].split("chaser evidence")[0]
    assert (bundle(tmp_path) / "screenshot.png").exists()


def test_a_frame_of_another_site_is_recorded_too(tmp_path: Path, chromium_url: str, site: Any) -> None:
    suite = (
        HEAD
        + f"""
def test_it(page, chaser_console, chaser_network):
    page.goto("{site.origin}/cross-site")
    frame = page.querySelector("#theirs").contentFrame()
    frame.evaluate("() => {{ console.error('from within'); return fetch('/json') }}")
    page.title()
    assert "from within" in [entry.text for entry in chaser_console.errors]
    assert [entry.status for entry in chaser_network.find("localhost.*/json$")] == [200]
"""
    )
    assert "1 passed" in run_suite(tmp_path, chromium_url, suite=suite).output


HOSTILE = """
<title>hostile</title>
<script>document.title = 'ran'; console.log('ran: script')</script>
<img src=x onerror="console.log('ran: handler')">
<svg onload="console.log('ran: svg')"></svg>
<iframe srcdoc="<script>console.log('ran: frame')</script>"></iframe>
<a id=link href="javascript:console.log('ran: link')">click</a>
<form action="EVIL/"><button id=send>send</button></form>
<style>@import 'EVIL/x.css'; body { background: url(EVIL/x.png) }</style>
<p id=mark>&lt;/script&gt;&lt;script&gt;console.log('ran: text')&lt;/script&gt;</p>
"""


def test_a_hostile_page_does_not_run_in_the_trace_and_the_trace_works_by_keyboard(
    tmp_path: Path, chromium_url: str, browser: Any, loop_thread: Any, site: Any
) -> None:
    suite = (
        HEAD
        + f"""
HOSTILE = {HOSTILE.replace("EVIL", site.other + "/evil")!r}

def test_it(page):
    page.evaluate("html => {{ document.documentElement.innerHTML = html }}", HOSTILE)
    page.evaluate("() => {{ console.log('</script><script>console.log(1)</script>'); }}")
    page.evaluate("() => document.body.append('changed')")
    page.waitForSelector("#nowhere", timeout=200)
"""
    )
    run_suite(tmp_path, chromium_url, suite=suite, RIG_TRACE="on")
    path = bundle(tmp_path) / "trace.html"
    asked = len(site.requests)
    assert "/evil/x.css" in {request[1] for request in site.requests}
    target = loop_thread.run(browser.new_page(), 30)
    page = sync_view(target, loop_thread)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    try:
        page.goto(path.as_uri())
        page.waitForSelector("[data-ready]", timeout=10_000)
        calls = page.evaluate("() => [...document.querySelectorAll('#calls li')].map(row => row.textContent)")
        assert len(calls) == 4
        assert "Waiting for selector" in calls[3]
        selected = "() => document.querySelector('#calls [aria-selected=true]').id"
        assert page.evaluate(selected) == "call-3"
        assert "waitForSelector" in page.evaluate("() => document.querySelector('.failing').textContent")
        page.keyboard.press("Home")
        assert page.evaluate(selected) == "call-0"
        page.keyboard.press("d")
        page.waitForFunction("() => document.getElementById('document').srcdoc.includes('hostile')")
        assert page.evaluate("() => getComputedStyle(document.getElementById('document')).display") != "none"
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.waitForFunction("() => document.getElementById('document').srcdoc.includes('changed')")
        page.keyboard.press("2")
        assert "</script><script>console.log(1)" in page.evaluate("() => document.getElementById('panel').textContent")
        page.waitFor(300)
        assert page.title() == "test_suite.py::test_it"
        assert [text for text in said if "ran" in text] == []
        assert site.requests[asked:] == []
    finally:
        loop_thread.run(browser.close_page(target), 30)


def test_traces_are_recorded_only_where_they_were_asked_for(tmp_path: Path, chromium_url: str) -> None:
    suite = HEAD + "def test_it(page):\n    fill(page)\n    assert 0\n"
    run_suite(tmp_path, chromium_url, "--reruns=2", suite=suite, RIG_TRACE="on-first-retry")
    assert [(bundle(tmp_path, attempt) / "trace.html").exists() for attempt in (1, 2, 3)] == [False, True, False]


@pytest.mark.slow
def test_a_capture_is_quick(tmp_path: Path, chromium_url: str, site: Any) -> None:
    tests = "\n".join(
        f"def test_{number}(page):\n    page.goto('{site.origin}/form.html')\n    assert 0\n" for number in range(9)
    )
    started = time.monotonic()
    run = run_suite(tmp_path, chromium_url, suite=HEAD + tests, RIG_TIMES="1")
    took = sorted(float(seconds) for seconds in re.findall(r"capture took ([\d.]+) s", run.output))
    assert len(took) == 9
    assert took[4] < 0.3
    assert time.monotonic() - started < 60
