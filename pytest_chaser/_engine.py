"""Everything heavy of one process: the link to the broker, the loop thread, the evidence. Built when it is needed."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ._config import Settings, read_state_dir
from ._exceptions import ChaserError
from ._lending import Lender
from ._marker import TestOptions
from ._run import Run

if TYPE_CHECKING:
    from .broker._link import BrokerLink
    from .broker._settings import BrokerSettings
    from .cdp import LoopThread
    from .evidence import Evidence, EvidenceOptions


@dataclass(frozen=True)
class Engine:
    """What a process needs to lend sessions to its tests."""

    link: BrokerLink
    loop: LoopThread
    evidence: Evidence
    lender: Lender


def broker_settings(settings: Settings, run: Run, workers: int) -> BrokerSettings:
    """Return what the run's broker is told; the same in every process of the run."""
    from .broker._settings import BrokerSettings

    return BrokerSettings(
        run_id=run.id,
        run_folder=run.folder,
        state_dir=read_state_dir(os.environ),
        mode=settings.mode,
        api_url=settings.api_url,
        ttl=settings.ttl,
        profile=settings.profile,
        ready_timeout=settings.ready_timeout,
        acquire_timeout=settings.acquire_timeout,
        max_sessions=settings.max_sessions,
        look_ahead=settings.look_ahead,
        scope=settings.scope,
        workers=workers,
        chrome=settings.chrome,
        headed=settings.headed,
        exclusive=settings.exclusive,
    )


def open_link(settings: Settings, run: Run, workers: int, holder: str) -> BrokerLink:
    """Connect to the run's broker, starting it if there is none, and return the link when it serves."""
    from .broker._link import BrokerLink

    link = BrokerLink(broker_settings(settings, run, workers), settings.key, holder)
    link.open()
    return link


def start_broker(settings: Settings, run: Run, workers: int) -> None:
    """Start the run's broker unless there is one; returns at once. What keeps it from starting, `open_link` raises."""
    from .broker._process import start_broker as start

    # Raised in a hook, it would end the whole run as an internal error.
    with contextlib.suppress(ChaserError):
        start(broker_settings(settings, run, workers), settings.key)


def evidence_options(settings: Settings, test: TestOptions | None, rootpath: Path) -> EvidenceOptions:
    """Return what of the settings evidence needs, for one test if there is one."""
    from .evidence import EvidenceOptions

    return EvidenceOptions(
        output=settings.output,
        rootpath=rootpath,
        screenshot=test.screenshot if test else settings.screenshot,
        full_page=settings.full_page_screenshot,
        trace=test.trace if test else settings.trace,
        har=settings.har,
        console=settings.console,
        html=settings.html,
        exclude=frozenset(settings.exclude_evidence),
        fail_on=test.fail_on if test else settings.fail_on,
        ignore=settings.ignore,
        redact=settings.redact,
        secrets=(settings.key,) if settings.key else (),
    )


def build_engine(config: pytest.Config, settings: Settings, link: BrokerLink) -> Engine:
    """Start the loop thread and put the parts together."""
    from .cdp import LoopThread
    from .evidence import Evidence

    loop = LoopThread()
    evidence = Evidence(config, evidence_options(settings, None, config.rootpath), loop)
    return Engine(link, loop, evidence, Lender(settings, link, loop, evidence))
