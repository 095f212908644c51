"""What several runs share: one state folder, its ledgers, and the disk they are on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest

from . import acts
from .counting import KEY
from .runs import wait_until
from .scenario import Figures, Scenario, Stage
from .trees import PASSING, WAITING, tree

Played = Callable[[Scenario], Figures]
Stages = Callable[..., Stage]
Record = Callable[[str, object], None]

OTHER_KEY = "another-key-of-the-crash-suite"
_BOUND = 30.0


def leave_a_dead_run(stage: Stage) -> set[str]:
    """Kill a run whole while it has sessions; return these."""
    run = stage.start(WAITING, ("-n", "2"))
    run.wait_for_mark("begun-*", 2)
    wait_until(lambda: not stage.api.posts_in_flight, 30, "the end of the POSTs")
    before = set(stage.api.open())
    run.kill_all()
    left = set(stage.api.open()) & before
    assert left, run.story
    assert len(stage.ledgers()) == 1
    return left


def check_the_promise(stage: Stage, record: Record, lost: int = 0) -> None:
    """Check that nothing of ours is left, and nothing of others' was touched."""
    api = stage.api
    wait_until(lambda: len(api.open()) <= lost, _BOUND, lambda: f"{api.open()} are open\n{stage.runs[-1].story}")
    for run in stage.runs:
        wait_until(lambda one=run: not one.processes(), _BOUND, run.describe_processes)  # type: ignore[misc]
    assert api.foreign_deletes() == 0
    assert api.foreign_closed() == []
    assert stage.ledgers() == []
    record("created", len(api.ours()))
    record("left_open", len(api.open()))
    record("foreign_deletes", api.foreign_deletes())
    record("processes", sum(len(run.processes()) for run in stage.runs))
    record("ledgers", len(stage.ledgers()))


def test_a_torn_last_line_is_settled_all_the_same(stages: Stages, record_property: Record) -> None:
    stage = stages()
    left = leave_a_dead_run(stage)
    with stage.ledgers()[0].open("ab") as ledger:
        ledger.write(b'{"event": "created", "n": 7, "id": "se')
    stage.next_run()
    wait_until(lambda: not left & set(stage.api.open()), _BOUND, stage.runs[-1].story)
    check_the_promise(stage, record_property)


@pytest.mark.slow
def test_damage_in_the_middle_of_a_ledger_hides_no_other_line(stages: Stages, record_property: Record) -> None:
    stage = stages()
    leave_a_dead_run(stage)
    path = stage.ledgers()[0]
    first, rest = path.read_bytes().split(b"\n", 1)
    path.write_bytes(first + b"\n\x00\xff not a line of ours\n" + rest)
    stage.next_run()
    check_the_promise(stage, record_property)


@pytest.mark.slow
def test_a_ledger_of_a_newer_version_is_left_and_named(stages: Stages) -> None:
    stage = stages()
    left = leave_a_dead_run(stage)
    path = stage.ledgers()[0]
    content = path.read_bytes()
    path.write_bytes(content.replace(b'"version":1', b'"version":99', 1).replace(b'"version": 1', b'"version": 99', 1))
    run = stage.next_run()
    assert str(path) in run.output
    assert left <= set(stage.api.open())
    assert stage.api.foreign_deletes() == 0
    path.write_bytes(content)
    stage.next_run()
    wait_until(lambda: not stage.api.open(), _BOUND, "the end of the sessions")


@pytest.mark.parametrize("workers", ["0", pytest.param("2", marks=pytest.mark.slow)])
def test_a_folder_that_cannot_be_written_is_an_error_before_the_first_post(stages: Stages, workers: str) -> None:
    # A file in its place: modes do not keep the superuser out.
    stage = stages()
    stage.state.write_text("not a folder", encoding="utf-8")
    run = stage.start(PASSING, ("-n", workers))
    assert run.wait(_BOUND * 3) == 1, run.story
    assert "LedgerError" in run.output
    assert "CHASER_STATE_DIR" in run.output
    assert stage.api.posts_begun == 0
    wait_until(lambda: not run.processes(), _BOUND, run.describe_processes)


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_creating_and_loses_nothing(stages: Stages) -> None:
    # The tests see the folder on a small disk of their own; only they can fill it.
    stage = stages()
    stage.state.mkdir()
    fill = tree(
        """
        @pytest.mark.parametrize("number", range(20))
        def test_remote(chaser_cdp_url, number):
            if number == 1:
                with open(os.path.join(os.environ["CHASER_STATE_DIR"], "full"), "wb", buffering=0) as full:
                    with pytest.raises(OSError):
                        while full.write(b"x" * 4096):
                            pass
                mark("full")
        """
    )
    mount = ["unshare", "--mount", "sh", "-c", f'mount -t tmpfs -o size=64k none {stage.state} && exec "$@"', "sh"]
    run = stage.start(fill, ("--chaser-look-ahead=0",), wrapper=mount)
    assert run.wait(_BOUND * 3) == 1, run.story
    assert run.marked("full"), run.story
    assert "LedgerError" in run.output
    # The ledger's own last page has room for a few more.
    assert 2 <= len(stage.api.ours()) < 20
    wait_until(lambda: not stage.api.open(), _BOUND, run.story)
    wait_until(lambda: not run.processes(), _BOUND, run.describe_processes)
    assert stage.api.foreign_deletes() == 0


@pytest.mark.slow
def test_a_disk_that_is_full_is_an_error_before_the_first_post(stages: Stages) -> None:
    stage = stages()
    stage.state.mkdir()
    script = (
        f"mount -t tmpfs -o size=4k,nr_inodes=3 none {stage.state} && "
        f'head -c 4096 /dev/zero > {stage.state}/full; exec "$@"'
    )
    run = stage.start(PASSING, (), wrapper=["unshare", "--mount", "sh", "-c", script, "sh"])
    assert run.wait(_BOUND * 3) == 1, run.story
    assert "LedgerError" in run.output
    assert stage.api.posts_begun == 0
    wait_until(lambda: not run.processes(), _BOUND, run.describe_processes)


@pytest.mark.slow
def test_a_run_with_another_key_leaves_a_dead_ledger_alone(stages: Stages, record_property: Record) -> None:
    stage = stages()
    left = leave_a_dead_run(stage)
    stage.next_run(key=OTHER_KEY)
    assert left <= set(stage.api.open())
    assert len(stage.ledgers()) == 1
    stage.next_run(key=KEY)
    check_the_promise(stage, record_property)


@pytest.mark.slow
def test_two_brokers_adopt_one_ledger_at_once(stages: Stages, record_property: Record) -> None:
    stage = stages()
    left = leave_a_dead_run(stage)
    both = [stage.start(PASSING), stage.start(PASSING)]
    for run in both:
        assert run.wait(_BOUND * 3) == 0, run.story
    settled = sum(run.output.count("of earlier runs settled") for run in both)
    wait_until(lambda: not left & set(stage.api.open()), _BOUND, both[0].story)
    assert settled <= 1, [run.output for run in both]
    check_the_promise(stage, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [(), ("-n", "2")], ids=["one process", "-n 2"])
def test_a_third_run_settles_the_killed_one_and_leaves_the_living_one_alone(
    stages: Stages, record_property: Record, arguments: tuple[str, ...]
) -> None:
    stage = stages()
    living = stage.start(WAITING, arguments)
    living.wait_for_mark("begun-*", 2 if arguments else 1)
    wait_until(lambda: not stage.api.posts_in_flight, 30, "the end of the POSTs")
    theirs = set(stage.api.open())
    killed = stage.start(WAITING, arguments)
    killed.wait_for_mark("begun-*", 2 if arguments else 1)
    killed.kill_all()
    third = stage.start(PASSING)
    assert third.wait(_BOUND * 3) == 0, third.story
    wait_until(lambda: set(stage.api.open()) <= theirs, _BOUND, third.story)
    assert set(stage.api.open()) == theirs, "a session of the living run was ended"
    living.go()
    assert living.wait(_BOUND * 3) == 0, living.story
    check_the_promise(stage, record_property)


@pytest.mark.slow
def test_a_run_whose_broker_alone_is_killed_is_not_settled_by_another(stages: Stages, record_property: Record) -> None:
    stage = stages()
    living = stage.start(WAITING, ("--chaser-look-ahead=0",))
    living.wait_for_mark("begun-*")
    (mine,) = stage.api.open()
    for pid in living.broker_pids():
        os.kill(pid, signal.SIGKILL)
    stage.next_run()
    assert mine in stage.api.open()
    living.go()
    assert living.wait(_BOUND * 3) == 0, living.story
    check_the_promise(stage, record_property)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["body", "ahead"])
def test_killed_at_one_moment_and_settled_by_the_command(stages: Stages, record_property: Record, moment: str) -> None:
    stage = stages()
    look_ahead = ("--chaser-look-ahead=0",) if moment == "body" else ()
    run = stage.start(WAITING, look_ahead)
    run.wait_for_mark("begun-*")
    acts.kill_everything(stage)
    assert stage.api.open()
    reap = stage.command("reap")
    assert reap.returncode == 0, reap.stdout
    check_the_promise(stage, record_property)
