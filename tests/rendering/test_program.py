"""Programs that threads share: one thread at a time in each, and nobody waits forever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from jaxvsnerf.rendering.program import Program, made_once

PATIENCE = 20.0  # seconds after which a thread counts as stuck


class Watched:
    """Stands for a jit function; counts the threads that are inside it at once."""

    def __init__(self):
        self.inside, self.most, self.calls = 0, 0, 0
        self.counting = threading.Lock()

    def stay(self, *args):
        with self.counting:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.calls += 1
        time.sleep(0.005)
        with self.counting:
            self.inside -= 1
        return args

    __call__ = stay

    def lower(self, *args):
        self.stay()
        return self

    def compile(self):
        self.stay()
        return self

    def memory_analysis(self):
        """This backend does not say."""


def in_threads(*calls):
    """The results of calls that start together, in order; an error where one is stuck."""
    with ThreadPoolExecutor(len(calls)) as pool:
        started = threading.Barrier(len(calls))
        futures = [pool.submit(lambda call=call: (started.wait(), call())[1]) for call in calls]
        return [future.result(PATIENCE) for future in futures]


def test_threads_enter_a_program_one_at_a_time_also_after_its_first_call():
    watched = Watched()
    program = Program(watched)
    program(0)
    results = in_threads(*(lambda n=n: [program(n, k) for k in range(5)] for n in range(4)))
    assert results == [[(n, k) for k in range(5)] for n in range(4)]
    assert watched.most == 1 and watched.calls == 1 + 4 * 5


def test_tracing_and_compiling_count_as_being_inside_a_program_and_let_calls_through_in_turn():
    watched = Watched()
    program = Program(watched)
    program(0)

    def compile_ahead():
        for n in range(5):
            program.trace(n)()

    in_threads(compile_ahead, compile_ahead, *(lambda n=n: program(n) for n in range(6)))
    # A trace and a compilation each are one more stay.
    assert watched.most == 1 and watched.calls == 1 + 2 * 5 * 2 + 6


def test_different_programs_do_not_wait_for_each_other():
    meeting = threading.Barrier(2, timeout=PATIENCE)

    def program():
        return Program(lambda: meeting.wait() >= 0)  # goes on once both threads are inside

    assert in_threads(program(), program()) == [True, True]


def test_a_program_that_calls_itself_comes_back():
    program = Program(lambda n: n * program(n - 1) if n else 1)
    found = []
    thread = threading.Thread(target=lambda: found.append(program(4)), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert found == [24]


def test_an_error_inside_a_program_lets_the_next_thread_in():
    def inverse(n):
        time.sleep(0.005)
        return 1 / n

    program = Program(inverse)
    with ThreadPoolExecutor(2) as pool:
        failing, fine = pool.submit(program, 0), pool.submit(program, 2)
        with pytest.raises(ZeroDivisionError):
            failing.result(PATIENCE)
        assert fine.result(PATIENCE) == 0.5


def test_threads_that_ask_for_a_program_together_share_one():
    @made_once
    def make(name):
        time.sleep(0.02)
        return Program(lambda: name)

    found = in_threads(*[lambda: make("a")] * 4)
    assert all(program is found[0] for program in found)
    assert make("b")() == "b"
