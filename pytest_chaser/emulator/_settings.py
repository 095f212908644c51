"""Everything that can be chosen about an embedded server, in one frozen dataclass."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

ANDROID_LIMITS = frozenset({"contexts", "targets"})
TTL_RANGE = (60, 3600)
DEFAULT_TTL = 1800


class EmulatorError(Exception):
    """Base class of the errors of the embedded server."""


class SettingsError(EmulatorError):
    """A setting has a value that cannot be used; the message names it."""


@dataclass(frozen=True)
class EmulatorSettings:
    """How an embedded server behaves. Durations are seconds; the defaults are the document's first reading.

    `keys` are the bearer keys it accepts, each a workspace of its own; None accepts any key. `ready_delay` is the
    range from which the time between `creating` and `ready` is drawn; a browser that takes longer to start takes
    longer. `quota` limits the open sessions of one key. `stub` answers without browsers, for load tests. `chrome`
    names the browser; None looks for one. `warm` browsers wait idle, so that a session starts at once.

    Where the API's document is silent or contradicts itself: `cdp_url_from_creation` (else it appears when the
    session is ready), `expires_cap` (a session never lives longer than this), `invalid_body_status` (400 or 422),
    `cdp_requires_key` (the CDP endpoint wants the bearer key too). `android_limits` may hold "contexts" and
    "targets": what Chrome on a phone refuses to create. `clock_skew` is added to the server's clock.

    `admin_port` serves faults and counters on 127.0.0.1, 0 on a free port, None not at all; whoever uses it needs
    `admin_token`, which is made up if it is None.
    """

    host: str = "127.0.0.1"
    port: int = 0
    keys: tuple[str, ...] | None = field(default=None, repr=False)
    ready_delay: tuple[float, float] = (0.0, 0.0)
    quota: int | None = None
    retry_after: float = 1.0
    stub: bool = False
    chrome: str | None = None
    headed: bool = False
    chrome_flags: tuple[str, ...] = ()
    warm: int = 0
    start_timeout: float = 60.0
    cdp_url_from_creation: bool = True
    expires_cap: float | None = None
    invalid_body_status: int = 400
    cdp_requires_key: bool = False
    android_limits: frozenset[str] = frozenset()
    clock_skew: float = 0.0
    proxy_ip: str | None = "127.0.0.1"
    proxy_region: str | None = "local"
    preview_fps: int = 5
    preview_input: bool = True
    preview_token_ttl: float = 300.0
    history: int = 10_000
    profile_root: Path | None = None
    admin_port: int | None = None
    admin_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        low, high = self.ready_delay
        if not 0 <= low <= high:
            raise SettingsError(f"ready_delay must be a range of seconds such as 15-25, not {low:g}-{high:g}")
        if self.invalid_body_status not in (400, 422):
            raise SettingsError(f"invalid_body_status must be 400 or 422, not {self.invalid_body_status}")
        if self.quota is not None and self.quota < 0:
            raise SettingsError(f"quota must be 0 or more, not {self.quota}")
        if self.warm < 0:
            raise SettingsError(f"warm must be 0 or more, not {self.warm}")
        unknown = self.android_limits - ANDROID_LIMITS
        if unknown:
            raise SettingsError(f"android_limits knows contexts and targets, not {', '.join(sorted(unknown))}")
        if self.keys is not None and not all(self.keys):
            raise SettingsError("keys must not hold an empty key")
        if self.preview_fps < 1:
            raise SettingsError(f"preview_fps must be 1 or more, not {self.preview_fps}")


def parse_range(text: str) -> tuple[float, float]:
    """Read `15-25` or `2` as a range of seconds; raises SettingsError."""
    low, _, high = text.partition("-")
    try:
        pair = float(low), float(high or low)
    except ValueError:
        raise SettingsError(f"{text!r} is not a number of seconds or a range such as 15-25") from None
    if not 0 <= pair[0] <= pair[1]:
        raise SettingsError(f"{text!r} is not a range of seconds from low to high")
    return pair
