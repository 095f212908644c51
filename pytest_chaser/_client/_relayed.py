"""The client of a relay: what goes wrong between the relay and the API is told as if there were no relay."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .._exceptions import ApiError, ChaserError
from ._calls import Failure
from ._flows import Exchange, Outcome
from ._sync import ChaserClient


class RelayedClient(ChaserClient):
    """The Sessions API through a relay that asks the API once for each call and passes its errors on as data.

    `read_error` finds such an error in the body of an answer. This client repeats calls as always, and what it raises
    at last names the API's host and words, not the relay's.
    """

    def __init__(
        self, key: str, url: str, *, headers: Mapping[str, str], read_error: Callable[[bytes], ChaserError | None]
    ) -> None:
        super().__init__(key, url, headers=headers)
        self._read_error = read_error

    def _exchange(self, step: Exchange) -> Outcome:
        outcome = super()._exchange(step)
        if isinstance(outcome, Failure) or outcome.status < 400 or outcome.status in step.call.accepted:
            return outcome
        error = self._read_error(outcome.body)
        if error is None or (isinstance(error, ApiError) and error.reason is None):
            return outcome
        if not isinstance(error, ApiError):
            raise error
        return Failure.of(error, outcome.status)
