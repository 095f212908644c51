"""The Sessions API: all six endpoints, for threads (`ChaserClient`) and for asyncio and trio (`AsyncChaserClient`).

Both clients run the same flows (`_flows.py`): generators that say which request to send next and how long to pause,
and know nothing of sockets. Only `_transport.py` and `_deadline.py` import httpx.
"""

from __future__ import annotations

from ._async import AsyncChaserClient
from ._endpoint import DEFAULT_API_URL
from ._relayed import RelayedClient
from ._retry import RetryPolicy
from ._sync import ChaserClient

__all__ = ["DEFAULT_API_URL", "AsyncChaserClient", "ChaserClient", "RelayedClient", "RetryPolicy"]
