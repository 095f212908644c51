"""Locators and `expect` on a real page that changes under them, through the sync and the async view."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_chaser import CdpError, CdpTimeout
from pytest_chaser.cdp import async_view, expect, retire, sync_view

FORM = """
<title>Sign in</title>
<style>
  #late { display: none } #covered { position: relative } #cover { position: absolute; inset: 0 }
  @keyframes slide { to { transform: translateX(150px) } }
  #moving { animation: slide .4s linear forwards }
</style>
<ul><li class=item>First  item</li><li class=item>Second item</li><li class=item>Third item</li></ul>
<input id=name value=Ada maxlength=8><input id=password type=password value=hunter2>
<input id=day type=date><textarea id=text></textarea><div id=rich contenteditable>old</div>
<input id=frozen readonly value=fixed><input id=agree type=checkbox><label for=agree id=label>I agree</label>
<input id=told type=checkbox onclick="return false">
<select id=colour><option value=r>Red</option><option value=g>Green</option></select>
<select id=many multiple><option>a</option><option>b</option><option>c</option></select>
<button id=go onclick="document.title = 'clicked ' + event.detail">Go</button>
<button id=off disabled>Off</button><button id=late>Late</button><button id=moving>Moving</button>
<div id=covered><button id=under>Under</button><div id=cover></div></div>
<div id=host></div><a id=away href="/second">away</a><p id=empty></p>
<script>
  window.events = [];
  for (const kind of ['input', 'change', 'touchstart'])
      document.addEventListener(kind, e => events.push(kind + ':' + e.target.id));
  document.querySelector('#host').attachShadow({mode: 'open'}).innerHTML = '<b class=deep>in the shadow</b>';
  window.moved = [];
  document.querySelector('#moving').addEventListener('click', e => moved.push(e.target.getBoundingClientRect().x));
</script>
"""


@pytest.fixture
def view(page: Any, loop_thread: Any, site: Any) -> Iterator[Any]:
    """A sync page with the form."""
    view = sync_view(page, loop_thread)
    view.goto(site.origin)
    view.evaluate("html => { document.open(); document.write(html); document.close(); }", FORM)
    yield view
    retire(view)


def later(view: Any, seconds: float, script: str) -> None:
    """Let the page run a script after a while."""
    view.evaluate(f"() => {{ setTimeout(() => {{ {script} }}, {seconds * 1000}); }}")


def test_a_locator_counts_narrows_and_reads(view: Any) -> None:
    items = view.locator(".item")

    assert items.count() == 3
    assert items.first.text() == "First item"
    assert items.nth(1).text() == "Second item"
    assert items.last.text() == "Third item"
    assert items.all_texts() == ["First item", "Second item", "Third item"]
    assert view.locator("ul").locator("li", has_text="second").text() == "Second item"
    assert items.filter(has_text="THIRD").count() == 1
    assert view.locator(".deep").text() == "in the shadow"
    assert view.locator("#away").attribute("href") == "/second"
    assert view.locator("#away").attribute("target") is None


def test_fill_replaces_the_value_with_the_events_of_typing(view: Any) -> None:
    view.locator("#name").fill("Grace")
    view.locator("#text").fill("two\nlines")
    view.locator("#rich").fill("new")
    view.locator("#day").fill("2026-11-24")
    view.locator("#password").fill("")

    assert view.locator("#name").value() == "Grace"
    assert view.locator("#text").value() == "two\nlines"
    assert view.locator("#rich").text() == "new"
    assert view.locator("#day").value() == "2026-11-24"
    assert view.locator("#password").value() == ""
    events = view.evaluate("() => events")
    assert {"input:name", "input:text", "input:rich", "input:day", "change:day"} <= set(events)


def test_actions_do_what_a_person_does(view: Any) -> None:
    view.locator("#go").click()
    assert view.title() == "clicked 1"
    view.locator("#go").double_click()
    assert view.title() == "clicked 2"
    view.locator("#label").click()
    assert view.locator("#agree").is_checked()
    view.locator("#agree").uncheck()
    assert not view.locator("#agree").is_checked()
    view.locator("#agree").check()
    view.locator("#agree").check()
    assert view.locator("#agree").is_checked()
    assert view.locator("#colour").select_option("Green") == ["g"]
    assert view.locator("#many").select_option("a", "c") == ["a", "c"]
    view.locator("#text").type("abc")
    view.locator("#text").press("Backspace")
    assert view.locator("#text").value() == "ab"
    view.locator("#go").tap()
    assert "touchstart:go" in view.evaluate("() => events")


def test_a_click_waits_until_the_element_is_shown(view: Any) -> None:
    view.evaluate("() => { document.querySelector('#late').onclick = () => { document.title = 'at last'; }; }")
    later(view, 0.3, "document.querySelector('#late').style.display = 'inline'")

    view.locator("#late").click()

    assert view.title() == "at last"


def test_a_click_waits_until_the_element_is_enabled_and_there(view: Any) -> None:
    later(view, 0.3, "document.querySelector('#off').disabled = false")
    view.locator("#off").click()
    later(view, 0.3, "document.body.insertAdjacentHTML('beforeend', '<i id=born>born</i>')")
    view.locator("#born").click()

    assert view.locator("#born").text() == "born"


def test_a_click_waits_until_the_element_is_still(view: Any) -> None:
    view.evaluate(
        "() => { const m = document.querySelector('#moving'); m.style.animation = 'none'; m.offsetWidth;"
        " m.style.animation = ''; }"
    )

    view.locator("#moving").click()

    before = view.evaluate("() => moved[0]")
    assert view.evaluate("() => document.querySelector('#moving').getBoundingClientRect().x") == before


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ("#missing", "no element matches"),
        (".item", "3 elements match; narrow it with .first or .nth()"),
        ("#late", 'it is not visible: <button id="late"'),
        ("#off", 'it is disabled: <button id="off"'),
        ("#under", 'it is covered by <div id="cover"'),
    ],
)
def test_a_click_in_vain_says_what_was_in_the_way(view: Any, selector: str, problem: str) -> None:
    with pytest.raises(CdpTimeout) as caught:
        view.locator(selector).click(timeout=0.4)

    assert problem in str(caught.value)
    assert selector in str(caught.value)
    assert re.search(r"waited 0\.[4-9] s", str(caught.value))


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        (lambda p: p.locator("#frozen").fill("x", timeout=0.3), "it is read-only"),
        (lambda p: p.locator("#agree").fill("x"), "cannot be filled"),
        (lambda p: p.locator("#go").fill("x"), "it is not an <input>"),
        (lambda p: p.locator("#day").fill("tomorrow"), "malformed"),
        (lambda p: p.locator("#colour").select_option("Blue"), 'no option "Blue"'),
        (lambda p: p.locator("#told").check(), "did not change its state"),
        (lambda p: p.locator("li[").count(), "cannot be looked for"),
        (lambda p: p.locator("li[").click(timeout=5), "cannot be looked for"),
        (lambda p: p.locator("#empty").value(), "has no value"),
    ],
    ids=["read-only", "checkbox", "button", "date", "option", "check", "selector", "selector-action", "value"],
)
def test_what_cannot_be_done_is_an_error_that_says_why(view: Any, act: Callable[[Any], Any], problem: str) -> None:
    with pytest.raises(CdpError, match=re.escape(problem)):
        act(view)


REDRAWN = """() => {
    document.body.innerHTML = '<div id="root"></div>';
    window.presses = 0;
    window.redraw = () => { document.querySelector('#root').innerHTML = '<button>x</button><input>'; };
    window.redraw();
    document.querySelector('#root').addEventListener('mousedown', () => { window.presses += 1; });
    setInterval(window.redraw, 150);
}"""


def test_an_element_that_is_drawn_anew_all_the_time_is_clicked_each_time(view: Any) -> None:
    view.evaluate(REDRAWN)
    for _ in range(15):
        view.locator("button").click(timeout=5)
        view.locator("input").hover(timeout=5)
    # A browser makes no click of a press and a release when the button between them was another one.
    assert view.evaluate("() => window.presses") == 15


def test_a_checkbox_of_one_pixel_can_be_checked(view: Any) -> None:
    view.evaluate(
        "() => { document.body.innerHTML = '<input type=checkbox style=\"width:1px;height:1px;margin:0;opacity:0\">' }"
    )
    view.locator("input").check(timeout=5)
    assert view.locator("input").is_checked()


def test_the_page_behind_its_popup_takes_clicks(view: Any) -> None:
    with view.expect_popup():
        view.evaluate("() => { window.open('about:blank') }")
    view.locator("#go").click(timeout=5)
    view.locator("#name").hover(timeout=5)


def test_texts_are_compared_to_the_last_of_a_long_list(view: Any) -> None:
    view.evaluate("() => { document.body.innerHTML = [...Array(250).keys()].map(n => `<p>${n}</p>`).join('') }")
    numbers = [str(number) for number in range(250)]
    assert view.locator("p").all_texts() == numbers
    expect(view.locator("p")).to_have_text(numbers)
    expect(view.locator("p"), timeout=0.3).not_to_have_text([*numbers[:-1], "wrong"])
    with pytest.raises(AssertionError):
        expect(view.locator("p"), timeout=0.3).to_have_text([*numbers[:-1], "wrong"])


def test_wait_for_waits_for_each_state(view: Any) -> None:
    late = view.locator("#late")
    late.wait_for("hidden")
    late.wait_for("attached")
    later(view, 0.1, "document.querySelector('#late').style.display = 'inline'")
    late.wait_for()
    later(view, 0.1, "document.querySelector('#late').remove()")
    late.wait_for("detached")
    with pytest.raises(CdpTimeout, match="no element matches"):
        late.wait_for("visible", timeout=0.2)
    with pytest.raises(ValueError, match="attached, detached, visible, hidden"):
        late.wait_for("gone")


HOLDING: list[tuple[str, Callable[[Any], Any]]] = [
    ("title", lambda p: expect(p).to_have_title("Sign  in")),
    ("title pattern", lambda p: expect(p).to_have_title(re.compile("^Sign"))),
    ("not title", lambda p: expect(p).not_to_have_title("Sign")),
    ("url", lambda p: expect(p).to_have_url(re.compile(r"127\.0\.0\.1"))),
    ("not url", lambda p: expect(p).not_.to_have_url("https://example.com/")),
    ("visible", lambda p: expect(p.locator("#go")).to_be_visible()),
    ("not visible", lambda p: expect(p.locator("#late")).not_to_be_visible()),
    ("not visible, missing", lambda p: expect(p.locator("#missing")).not_.to_be_visible()),
    ("hidden", lambda p: expect(p.locator("#late")).to_be_hidden()),
    ("hidden, missing", lambda p: expect(p.locator("#missing")).to_be_hidden()),
    ("not hidden", lambda p: expect(p.locator("#go")).not_to_be_hidden()),
    ("text", lambda p: expect(p.locator(".item").first).to_have_text(" First item ")),
    ("texts", lambda p: expect(p.locator(".item")).to_have_text(["First item", re.compile("Second"), "Third item"])),
    ("not text", lambda p: expect(p.locator(".item").first).not_to_have_text("First")),
    ("contain", lambda p: expect(p.locator(".item").first).to_contain_text("First")),
    ("not contain", lambda p: expect(p.locator(".item").first).not_to_contain_text("Fourth")),
    ("count", lambda p: expect(p.locator(".item")).to_have_count(3)),
    ("not count", lambda p: expect(p.locator(".item")).not_to_have_count(0)),
    ("value", lambda p: expect(p.locator("#name")).to_have_value("Ada")),
    ("value pattern", lambda p: expect(p.locator("#name")).to_have_value(re.compile("^A"))),
    ("not value", lambda p: expect(p.locator("#name")).not_to_have_value("Grace")),
    ("enabled", lambda p: expect(p.locator("#go")).to_be_enabled()),
    ("not enabled", lambda p: expect(p.locator("#off")).not_to_be_enabled()),
    ("checked", lambda p: expect(p.locator("#agree")).not_to_be_checked()),
    ("not unchecked", lambda p: expect(p.locator("#agree")).not_.to_be_checked()),
    ("twice not", lambda p: expect(p.locator("#go")).not_.not_.to_be_visible()),
]


@pytest.mark.parametrize("claim", [claim for _, claim in HOLDING], ids=[name for name, _ in HOLDING])
def test_what_is_true_holds_through_both_views(
    view: Any, page: Any, loop_thread: Any, claim: Callable[[Any], Any]
) -> None:
    claim(view)

    async def awaited() -> None:
        await claim(async_view(page, loop_thread))

    asyncio.run(awaited())


FAILING: list[tuple[str, Callable[[Any], Any], list[str]]] = [
    ("title", lambda p: expect(p, timeout=0.3).to_have_title("Other"), ['to have the title "Other"', '"Sign in"']),
    ("url", lambda p: expect(p, timeout=0.3).to_have_url(re.compile("nowhere")), ["matching 'nowhere'", "127.0.0.1"]),
    ("visible", lambda p: expect(p.locator("#late")).to_be_visible(timeout=0.3), ["to be visible", "hidden"]),
    ("hidden", lambda p: expect(p.locator("#go"), timeout=0.3).to_be_hidden(), ["to be hidden", "visible"]),
    ("text", lambda p: expect(p.locator("li").first, timeout=0.3).to_have_text("1st"), ['"1st"', "First"]),
    ("texts", lambda p: expect(p.locator("li"), timeout=0.3).to_have_text("First item"), ["3 elements match"]),
    ("contain", lambda p: expect(p.locator("#missing"), timeout=0.3).to_contain_text("x"), ["no element matches"]),
    ("count", lambda p: expect(p.locator("li"), timeout=0.3).to_have_count(4), ["count 4", "3 elements match"]),
    ("value", lambda p: expect(p.locator("#name"), timeout=0.3).to_have_value("x"), ['value "x"', '"Ada"']),
    ("enabled", lambda p: expect(p.locator("#off"), timeout=0.3).to_be_enabled(), ["to be enabled", "not enabled"]),
    ("missing", lambda p: expect(p.locator("#no"), timeout=0.3).not_to_be_enabled(), ["no element matches"]),
    ("no text", lambda p: expect(p.locator("#no"), timeout=0.3).not_to_have_text("x"), ["no element matches"]),
    ("no part", lambda p: expect(p.locator("#no"), timeout=0.3).not_.to_contain_text("x"), ["no element matches"]),
    ("no value", lambda p: expect(p.locator("#no"), timeout=0.3).not_to_have_value("x"), ["no element matches"]),
    ("checked", lambda p: expect(p.locator("#agree"), timeout=0.3).to_be_checked(), ["to be checked", "not checked"]),
    ("negated", lambda p: expect(p.locator("#go"), timeout=0.3).not_to_be_visible(), ["not to be visible"]),
]


@pytest.mark.parametrize(("claim", "words"), [row[1:] for row in FAILING], ids=[row[0] for row in FAILING])
def test_what_is_not_true_fails_with_what_was_seen_and_for_how_long(
    view: Any, claim: Callable[[Any], Any], words: list[str]
) -> None:
    with pytest.raises(AssertionError) as caught:
        claim(view)

    for word in [*words, "last seen", "waited 0."]:
        assert word in str(caught.value)


def test_expect_waits_for_what_comes_later(view: Any) -> None:
    later(view, 0.3, "document.querySelector('.item').textContent = 'Changed'")

    expect(view.locator(".item").first).to_have_text("Changed")


def test_expect_survives_a_navigation(view: Any, site: Any) -> None:
    later(view, 0.2, "document.querySelector('#away').click()")

    expect(view.locator("#head")).to_have_text("Second")
    expect(view).to_have_url(f"{site.origin}/second")


def test_a_page_in_a_busy_loop_ends_the_wait_in_time(view: Any) -> None:
    later(view, 0.0, "const end = Date.now() + 3000; while (Date.now() < end);")
    time.sleep(0.1)  # until the loop is busy; the claim holds only in a page that answers

    started = time.monotonic()
    with pytest.raises(AssertionError, match="no answer from the page"):
        expect(view.locator("#go"), timeout=0.5).to_be_hidden()

    assert time.monotonic() - started < 2.5


def test_a_password_is_not_shown(view: Any) -> None:
    with pytest.raises(AssertionError) as caught:
        expect(view.locator("#password"), timeout=0.2).to_have_value(re.compile("^x"))
    assert "hunter2" not in str(caught.value)
    with pytest.raises(AssertionError) as caught:
        expect(view.locator("#password"), timeout=0.2).to_be_hidden()
    assert "hunter2" not in str(caught.value)


def test_a_locator_in_a_cross_site_frame_clicks_and_fills(view: Any, site: Any) -> None:
    view.goto(f"{site.origin}/cross-site")
    view.waitForFunction("() => document.querySelector('iframe')")
    frame = next(frame for frame in view.frames if frame.url.startswith(site.other))

    expect(frame.locator("body")).to_be_visible()
    field = frame.locator("input[type=text], input:not([type])").first
    field.fill("inside")

    expect(field).to_have_value("inside")


def test_expect_refuses_what_is_neither_page_nor_locator(view: Any) -> None:
    with pytest.raises(TypeError, match="a page, a frame or a locator, not str"):
        expect("title")
    with pytest.raises(TypeError, match="not ElementHandle"):
        expect(view.querySelector("#go"))
