"""What may stand in no file is found however it is spelled, and the rest of the text stays as it was."""

from __future__ import annotations

import html
import json
from urllib.parse import quote, quote_plus

import pytest

from pytest_chaser.evidence._redact import Redactor

SECRET = 's3cr&t "key"/+ü'
SPELLINGS = {
    "plain": SECRET,
    "percent": quote(SECRET, safe=""),
    "percent with slashes": quote(SECRET),
    "form": quote_plus(SECRET),
    "html": html.escape(SECRET),
    "html text": html.escape(SECRET, quote=False),
    "json": json.dumps(SECRET),
    "json in utf-8": json.dumps(SECRET, ensure_ascii=False),
    "python": repr(SECRET),
}


@pytest.mark.parametrize("spelled", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_a_known_secret_is_masked_in_every_spelling(spelled: str) -> None:
    text = Redactor([SECRET]).text(f"before {spelled} after")
    assert "s3cr" not in text
    assert text.startswith("before ")
    assert text.endswith(" after")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("wss://cdp.chaser.sh/sessions/sess_019ec0d0-a88a", "019ec0d0"),
        ("ws://127.0.0.1:9222/devtools/browser/0f0f-aa", "0f0f"),
        ("wss://stream.chaser.sh/sessions/s1/preview?token=eyJhbGciOi.abc", "eyJ"),
        ('{"url": "wss:\\/\\/cdp.chaser.sh\\/sessions\\/sess_77"}', "sess_77"),
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ("authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("curl -H 'Authorization: Token zyxw987'", "zyxw987"),
        ("fetched with Bearer abcdef123456", "abcdef123456"),
        ("Cookie: sid=abc; theme=dark", "abc"),
        ("Set-Cookie: sid=abc; Path=/", "abc"),
        ('{"Set-Cookie": "sid=abc123"}', "abc123"),
        ("document.cookie = 'sid=abc123; path=/'", "abc123"),
        ("https://shop.test/?access_token=abc123&page=2", "abc123"),
        ("user=zoe&password=hunter2&next=/", "hunter2"),
        ('{"user": "zoe", "password": "hunter2"}', "hunter2"),
        ('{\\"password\\": \\"hunter2\\"}', "hunter2"),
        ("{'client_secret': 'hunter2'}", "hunter2"),
        ("my_api_key = hunter2", "hunter2"),
        ('<input type="password" name="pw" value="hunter2">', "hunter2"),
        ("<INPUT value=hunter2 TYPE=password>", "hunter2"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmN", "dozjgNryP4J3jVmN"),
    ],
)
def test_what_is_secret_by_convention_is_masked(text: str, secret: str) -> None:
    masked = Redactor().text(text)
    assert secret not in masked
    assert "***" in masked


@pytest.mark.parametrize(
    "text",
    [
        "https://shop.test/products?page=2&sort=price",
        "GET http://127.0.0.1:8000/ -> 200",
        "ws://shop.test/chat connected",
        "<input type=text name=user value=zoe>",
        "the password field is empty",
        "Expected 3 cookies, saw 2",
        '{"tokens_left": 5}',
    ],
)
def test_what_is_not_secret_stays_as_it_was(text: str) -> None:
    assert Redactor(["something-else"]).text(text) == text


def test_names_of_the_user_are_masked_in_text_and_headers() -> None:
    redactor = Redactor(names=["X-Customer", "iban"])
    assert redactor.headers({"x-customer": "42", "Accept": "text/html"}) == {"x-customer": "***", "Accept": "text/html"}
    assert redactor.text("iban=DE0212&next=1") == "iban=***&next=1"


def test_a_secret_that_contains_another_leaves_nothing_behind() -> None:
    assert Redactor(["abcd", "abcd-efgh"]).text("x abcd-efgh y") == "x *** y"


def test_secret_headers_are_masked_whatever_their_case() -> None:
    headers = {"AUTHORIZATION": "Bearer x", "cookie": "a=b", "Set-Cookie": "c=d", "Host": "shop.test"}
    shown = Redactor().headers(headers)
    assert set(shown.values()) == {"***", "shop.test"}
