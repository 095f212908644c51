"""The hooks of pytest-chaser: each a guard and one call. Imports nothing heavy, since every pytest run loads it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from . import _config
from ._plugin_state import State, has_state, set_up, state_of
from .fixtures import (
    chaser_cdp_url,
    chaser_client,
    chaser_console,
    chaser_faults,
    chaser_mode,
    chaser_network,
    chaser_output_path,
    chaser_page,
    chaser_page_options,
    chaser_session,
    chaser_session_options,
    chaser_storage_state,
    new_chaser_session,
)

# pytest finds fixtures in a plugin's namespace.
__all__ = [
    "chaser_cdp_url",
    "chaser_client",
    "chaser_console",
    "chaser_faults",
    "chaser_mode",
    "chaser_network",
    "chaser_output_path",
    "chaser_page",
    "chaser_page_options",
    "chaser_session",
    "chaser_session_options",
    "chaser_storage_state",
    "new_chaser_session",
]


class XdistHooks:
    """What is done in xdist's controller; registered only if xdist is there, whose hooks these are."""

    def __init__(self, state: State) -> None:
        self._state = state

    def pytest_configure_node(self, node: Any) -> None:
        state = self._state
        node.workerinput["chaser_run"] = state.run.to_workerinput()
        if state.controller is None:
            state.start_controller(int(node.workerinput["workercount"]))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._state.controller is not None:
            self._state.controller.result_arrived()


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    from . import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    _config.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _config.MARKER_LINE)
    state = set_up(config)
    if config.pluginmanager.has_plugin("xdist"):
        config.pluginmanager.register(XdistHooks(state), "chaser-xdist")


def pytest_report_header(config: pytest.Config) -> str:
    from ._terminal import header

    return header(state_of(config).settings)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    state_of(collector.config).check_collected(report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    state_of(config).read_markers(items)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly:
        state_of(session.config).collected(session.items)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> Generator[None, object, object]:
    worker = state_of(item.config).active_worker
    if worker is None:
        return (yield)
    worker.test_begins(item, nextitem)
    try:
        return (yield)
    finally:
        # An interrupt skips the report of the teardown, where a session is given back otherwise.
        worker.attempt_ends()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    state_of(item.config).attempt_begins(item)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    worker = state_of(item.config).active_worker
    if worker is None:
        return (yield)
    worker.prepare_next()
    result = yield
    engine = worker.ready_engine()
    if engine is not None and worker.loans:
        worker.raise_fault(engine)
        engine.evidence.check_gates()
    return result


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    state_of(item.config).capture(item, call, report)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    state_of(session.config).finish()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = state_of(config).summary_lines()
    if lines:
        terminalreporter.section("chaser", sep="-")
        for line in lines:
            terminalreporter.line(line)


def pytest_unconfigure(config: pytest.Config) -> None:
    # A value that cannot be used ends the configuration before there is a state.
    if has_state(config):
        state_of(config).unconfigure()
