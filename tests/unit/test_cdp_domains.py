"""Who may see the key: the API's own domain and this machine, and nobody else."""

from __future__ import annotations

import pytest

from pytest_chaser.cdp._domains import is_loopback, may_have_key, registrable_domain

API = "https://api.chaser.sh"


@pytest.mark.parametrize(
    ("host", "secure", "api", "allowed"),
    [
        ("cdp.chaser.sh", True, API, True),
        ("api.chaser.sh", True, API, True),
        ("chaser.sh", True, API, True),
        ("CDP.Chaser.SH.", True, API, True),
        ("eu.cdp.chaser.sh", True, "https://api.eu.chaser.sh/v1", True),
        ("cdp.chaser.sh", False, API, False),
        ("cdp.chaser.sh.evil.example", True, API, False),
        ("evilchaser.sh", True, API, False),
        ("other.sh", True, API, False),
        ("cdp.chaser.sh", True, None, False),
        ("localhost", False, API, True),
        ("127.0.0.1", False, API, True),
        ("::1", False, API, True),
        ("127.0.0.1.evil.example", True, API, False),
        ("mallory.github.io", True, "https://chaser.github.io", False),
        ("chaser.github.io", True, "https://chaser.github.io", True),
        ("cdp.chaser.github.io", True, "https://chaser.github.io", True),
        ("other.co.uk", True, "https://chaser.co.uk", False),
        ("cdp.chaser.co.uk", True, "https://api.chaser.co.uk", True),
        ("10.0.0.2", True, "https://10.0.0.1", False),
        ("10.0.0.1", True, "https://10.0.0.1", True),
        ("intranet", True, "https://api", False),
    ],
)
def test_the_key_goes_only_to_the_api_own_domain_and_loopback(
    host: str, secure: bool, api: str | None, allowed: bool
) -> None:
    assert may_have_key(host, secure, api) is allowed


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("api.chaser.sh", "chaser.sh"),
        ("a.b.example.com", "example.com"),
        ("api.example.co.uk", "example.co.uk"),
        ("co.uk", None),
        ("github.io", None),
        ("x.github.io", "x.github.io"),
        ("localhost", None),
        ("10.1.2.3", None),
        ("a..com", None),
    ],
)
def test_the_domain_of_one_owner_is_told_from_a_suffix_that_strangers_share(host: str, domain: str | None) -> None:
    assert registrable_domain(host) == domain


@pytest.mark.parametrize("host", ["localhost", "app.localhost", "127.0.0.1", "127.8.9.1", "[::1]", "LOCALHOST."])
def test_this_machine_is_known_by_all_its_names(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["localhost.example", "128.0.0.1", "::2", "", "chaser.sh"])
def test_no_other_machine_passes_for_this_one(host: str) -> None:
    assert not is_loopback(host)
