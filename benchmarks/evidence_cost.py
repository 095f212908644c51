"""What evidence costs: a suite's page work with recording on and off, and the capture of a failure.

    python benchmarks/evidence_cost.py [rounds]

Both kinds take turns in one run, on one Chromium, so that a busy machine slows both; the ratio of their medians counts.
A trace, which nobody records unasked, is timed too. Exits with 1 if a figure is above its limit: recording 1.05, the
median capture 300 ms.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cdp_round_trip import chromium

from pytest_chaser.cdp import Browser, LoopThread, connect, sync_view
from pytest_chaser.evidence import EvidenceOptions, Recorder
from pytest_chaser.evidence._bundle import Lent, capture_session
from pytest_chaser.evidence._redact import Redactor
from pytest_chaser.evidence._trace import Tracer
from pytest_chaser.evidence._writer import Writer

RECORDING_LIMIT = 1.05
CAPTURE_LIMIT = 0.3

PAGE = (
    b"""<!doctype html><title>Shop</title><style>body { font: 16px sans-serif }</style>
<h1>Shop</h1><input id=name><input id=pw type=password><button id=buy>Buy</button><p id=out></p>
<script>
const out = document.getElementById('out');
document.getElementById('buy').onclick = async () => {
  const answer = await fetch('/api?' + Math.random());
  const text = await answer.text();
  out.textContent += text;
  console.log('bought', out.textContent.length);
};
</script>"""
    + b"<p>A row of text in a page of the usual length.</p>" * 300
)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        body, kind = (b"ok ", "text/plain") if self.path.startswith("/api") else (PAGE, "text/html")
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextlib.contextmanager
def serving() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()


class Bench:
    """One browser, and the test that is run in it again and again."""

    def __init__(self, loop: LoopThread, browser: Browser, url: str) -> None:
        self.loop = loop
        self.browser = browser
        self.url = url
        self.captures: list[float] = []

    def test(self, kind: str) -> float:
        """Run the test once and return how long its page work took; recording starts before, as the plugin has it."""
        target = self.loop.run(self.browser.new_page(), 30)
        recorder = self._record(target) if kind != "off" else None
        if recorder is not None and kind == "trace":
            recorder.tracer = Tracer(recorder, Path(__file__))
            self.loop.run(recorder.tracer.start(), 5)
        page = sync_view(target, self.loop)
        started = time.perf_counter()
        page.goto(self.url)
        page.type("#name", "zoe")
        for _ in range(5):
            page.click("#buy")
            page.evaluate("document.getElementById('out').textContent")
        page.waitForFunction("document.getElementById('out').textContent.length >= 15")
        for _ in range(10):
            page.title()
        took = time.perf_counter() - started
        if recorder is not None and kind == "on":
            self.captures.append(self._capture(recorder))
        self.loop.run(self.browser.close_page(target), 30)
        return took

    def _record(self, target: Any) -> Recorder:
        recorder = Recorder(target._client)
        self.loop.run(recorder.attach(), 10)
        target.observer = recorder
        return recorder

    def _capture(self, recorder: Recorder) -> float:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            capture = self.loop.run(capture_session(Lent(recorder)), 10)
            options = EvidenceOptions(Path(folder), Path(folder))
            writer = Writer(options, Path(folder) / "test", Redactor(recorder.learned), start=Path(folder), phase=None)
            pieces = writer.write(capture, failed=True, phase="call")
            took = time.perf_counter() - started
        assert len(pieces) == 5
        return took


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 120
    times: dict[str, list[float]] = {"off": [], "on": [], "trace": []}
    with serving() as url, chromium() as cdp_url:
        loop = LoopThread()
        browser = loop.run(connect(cdp_url), 30)
        bench = Bench(loop, browser, url)
        for kind in times:
            bench.test(kind)
        bench.captures.clear()
        for number in range(rounds):
            # The order turns too: whoever comes first finds the machine in another state.
            for kind in sorted(times, reverse=bool(number % 2)):
                times[kind].append(bench.test(kind))
        loop.run(browser.disconnect(), 10)
        loop.close()
    median = {kind: statistics.median(values) for kind, values in times.items()}
    capture = statistics.median(bench.captures)
    show = functools.partial(print, flush=True)
    show(f"page work of a test, median of {rounds}: {median['off'] * 1000:.1f} ms without recording")
    show(f"  recorded    {median['on'] * 1000:.1f} ms, {median['on'] / median['off']:.3f} x (limit {RECORDING_LIMIT})")
    show(f"  with trace  {median['trace'] * 1000:.1f} ms, {median['trace'] / median['off']:.3f} x")
    show(f"capture of a failure, median: {capture * 1000:.0f} ms (limit {CAPTURE_LIMIT * 1000:.0f} ms)")
    return int(median["on"] / median["off"] > RECORDING_LIMIT or capture > CAPTURE_LIMIT)


if __name__ == "__main__":
    sys.exit(main())
