"""The judge works from wherever a reward function is called, and outlives what kills it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sparft_plugin.rewards.math_process import JUDGE, MathProcess, Verdict

PAIR = (r"2\sqrt{3}", r"\sqrt{12}")
TOWER = (r"\pi", "9^{9^{9^{9^9}}}")
PATIENT = 30.0


def ask():
    return JUDGE.compare(*PAIR, PATIENT)


def answer_through(end):
    end.send((ask(), JUDGE.process.pid))


def test_threads_take_turns():
    with ThreadPoolExecutor(8) as threads:
        verdicts = list(threads.map(lambda _: ask(), range(24)))
    assert verdicts == [Verdict(True, True)] * 24


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_daemonic_process_starts_its_own(method):
    ask()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context(method)
    child = context.Process(target=answer_through, args=(theirs,), daemon=True)
    # As if another thread were asking at the moment of the fork.
    with JUDGE.turn:
        child.start()
    assert ours.poll(60)
    verdict, theirs_pid = ours.recv()
    child.join(10)
    assert child.exitcode == 0
    assert verdict == ask() == Verdict(True, True)
    assert theirs_pid != JUDGE.process.pid


def test_a_ray_actor_starts_its_own():
    ray = pytest.importorskip("ray")

    class Worker:
        async def ask(self):
            return tuple(await asyncio.get_running_loop().run_in_executor(None, ask))

    ray.init(num_cpus=1, include_dashboard=False, configure_logging=False)
    try:
        worker = ray.remote(Worker).remote()
        assert ray.get(worker.ask.remote(), timeout=120) == (True, True)
    finally:
        ray.shutdown()


@pytest.fixture
def judge():
    """The judge of this process, which answers."""
    ask()
    return JUDGE


def test_what_overruns_is_ended_and_the_next_comparison_is_answered(judge):
    process = judge.process
    assert judge.compare(*TOWER, 0.2) == Verdict(False, False)
    assert ask() == Verdict(True, True)
    assert judge.process is process


@pytest.mark.parametrize("whom", ["judge", "its worker"])
def test_who_is_killed_between_two_requests_is_replaced_and_shifts_no_verdict(judge, whom):
    process = judge.process
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(process.pid if whom == "judge" else int(children[0]), signal.SIGKILL)
    process.wait(10)

    asked = [judge.compare(*pair, PATIENT) for pair in (PAIR, ("x", "y"), PAIR, ("x", "2x"))]
    assert asked == [Verdict(same, True) for same in (True, False, True, False)]
    assert judge.process.pid != process.pid


def test_an_interrupted_wait_leaves_no_reply_for_the_next_request(judge, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sparft_plugin.rewards.math_process.read_line", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ask()
    assert judge.compare("x", "y", PATIENT) == Verdict(False, True)


def test_a_judge_that_dies_over_a_request_is_no_verdict(judge, monkeypatch):
    threading.Timer(0.1, judge.process.kill).start()

    monkeypatch.setattr("sparft_plugin.rewards.math_process.GRACE_SECONDS", 0.5)
    assert judge.compare(*TOWER, 0.3) == Verdict(False, False)
    assert ask() == Verdict(True, True)


def test_a_policy_that_collapses_to_slow_algebra_costs_a_tenth(judge, monkeypatch):
    monkeypatch.setattr("sparft_plugin.rewards.math_process.SLOW_SECONDS", 0.3)
    monkeypatch.setattr(judge, "patience", 0.3)

    seconds = []
    for _ in range(3):
        began = time.monotonic()
        assert judge.compare(*TOWER, 0.6) == Verdict(False, False)
        seconds.append(time.monotonic() - began)
    assert seconds[0] > 0.6 > 2 * max(seconds[1:])
    assert ask() == Verdict(True, True)
    assert judge.patience == 0.3


def test_a_module_in_the_working_folder_is_not_taken_for_math_verify(tmp_path, monkeypatch):
    (tmp_path / "math_verify.py").write_text("raise SystemExit")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    judge = MathProcess()
    assert judge.compare(*PAIR, PATIENT) == Verdict(True, True)
    judge.close()


def test_an_ignored_alarm_of_the_caller_does_not_switch_the_limit_off():
    script = (
        "import signal; signal.signal(signal.SIGALRM, signal.SIG_IGN);"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM});"
        "from sparft_plugin.rewards.math_process import JUDGE;"
        "JUDGE.compare('x', 'x', 9); judge = JUDGE.process;"
        rf"assert tuple(JUDGE.compare({TOWER[0]!r}, {TOWER[1]!r}, 0.3)) == (False, False);"
        "assert JUDGE.process is judge;"
        "assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_nothing_is_left_when_the_caller_is_killed():
    script = (
        "import sys, os, time; from sparft_plugin.rewards.math_process import JUDGE;"
        "JUDGE.compare('x', 'x', 5); print(JUDGE.process.pid, flush=True); time.sleep(60)"
    )
    caller = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    judge = int(caller.stdout.readline())
    caller.kill()
    caller.communicate()

    deadline = time.monotonic() + 20
    while os.path.exists(f"/proc/{judge}") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(f"/proc/{judge}")
