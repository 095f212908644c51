"""Type-checked, never run: how the client and the errors are used in a program of one's own."""

from __future__ import annotations

from pytest_chaser import (
    AsyncChaserClient,
    ChaserClient,
    ChaserError,
    ProvisioningTimeout,
    QuotaExceeded,
    RetryPolicy,
    Session,
    SessionStatus,
)


def screenshot_of_a_new_session() -> bytes:
    with ChaserClient(timeout=30.0, retry=RetryPolicy()) as client:
        session: Session = client.create(ttl_seconds=120)
        try:
            return client.screenshot(client.wait_until_ready(session, timeout=60.0).id)
        finally:
            client.delete(session.id)


def ids_of_what_is_ready(client: ChaserClient) -> list[str]:
    return [session.id for session in client.list_all() if session.status == SessionStatus.READY]


async def first_page(client: AsyncChaserClient) -> tuple[Session, ...]:
    page = await client.list(limit=50)
    return page.data


def what_to_do(error: ChaserError) -> str:
    if isinstance(error, QuotaExceeded):
        seconds: float | None = error.retry_after
        return f"wait {seconds} s"
    if isinstance(error, ProvisioningTimeout):
        waited: float | None = error.waited
        return f"it took longer than {waited} s"
    return error.message
