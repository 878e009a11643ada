"""Compiled programs that several threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, wraps
from typing import Any

import jax


class Program:
    """A jit or pmap function that one thread at a time traces, compiles or calls.

    Threads that make the first call together compile the program once, and no two threads hand
    work of one program to a device at once: where a program runs as a CUDA graph, a call updates
    that graph, and two updates at once failed once in some fifty runs. Different programs do not
    wait for each other.

    Choice: the lock is held until the function returns, not until the outputs are ready. XLA
    then gets the calls of several threads as it gets those of one thread that waits for none
    of them, which is how training and rendering call their programs all the time. On an H200
    four threads rendered 4000 times without a failure or a changed bit; with the lock held until
    the outputs were ready they rendered 30 % less in the same time.

    Args:
      function: the result of jit or pmap.
      arguments: converts a call's arguments to the function's; None passes them unchanged.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Callable[..., tuple] | None = None,
    ):
        self._function = function
        self._arguments = arguments or (lambda *args: args)
        # Reentrant, since a function may call its own program while being traced.
        self._turn = threading.RLock()

    def trace(self, *args: Any) -> Callable[[], int]:
        """Traces a call without executing the call; returns a function that compiles the trace.

        Tracing runs Python code, in one thread at a time; compilation can run in parallel.

        Returns:
          A function that compiles and returns the bytes of memory that the program takes on a
          device beside its arguments and results; 0 where the backend does not say.
        """
        args = self._arguments(*args)
        with self._turn:
            lowered = self._function.lower(*args)

        def compile_traced() -> int:
            with self._turn:
                known = lowered.compile().memory_analysis()
            return getattr(known, "temp_size_in_bytes", 0)

        return compile_traced

    def __call__(self, *args: Any) -> Any:
        args = self._arguments(*args)
        with self._turn:
            return self._function(*args)


def made_once(make: Callable[..., Program]) -> Callable[..., Program]:
    """`functools.cache` for functions that make programs.

    `functools.cache` gives two threads that request an uncached program at once a program each,
    with separate locks. This decorator gives both threads the same program.
    """
    cached, turn = cache(make), threading.Lock()

    @wraps(make)
    def find(*args: Any) -> Program:
        with turn:
            return cached(*args)

    return find


def on_this_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """Wraps a function to run with the present thread's default device in any thread.

    New threads do not inherit the default device, and a program compiled under another default
    device is compiled again.
    """
    default_device = jax.config.jax_default_device

    def call(*args: Any) -> Any:
        with jax.default_device(default_device):
            return function(*args)

    return call
