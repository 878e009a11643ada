"""Programs that several threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import jax


class Program:
    """A jit or pmap function that is compiled once, whichever threads call it first.

    Its first call is alone; what is called meanwhile waits for it instead of compiling too.

    Args:
      function: as jit or pmap made it.
      arguments: turns a call's arguments into the function's; None leaves them.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: Callable[..., tuple] | None = None,
    ):
        self._function = function
        self._arguments = arguments or (lambda *args: args)
        self._lock = threading.Lock()
        self._compiled = threading.Event()

    def trace(self, *args: Any) -> Callable[[], None]:
        """Traces a call without making it; returns a function that compiles what was traced.

        Tracing is Python, of which only one thread runs; compilation is not.
        """
        with self._lock:
            lowered = self._function.lower(*self._arguments(*args))

        def compile_traced() -> None:
            with self._lock:
                lowered.compile()
                self._compiled.set()

        return compile_traced

    def __call__(self, *args: Any) -> Any:
        args = self._arguments(*args)
        if self._compiled.is_set():
            return self._function(*args)
        with self._lock:
            result = self._function(*args)
            self._compiled.set()
        return result


def on_this_device(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, in any thread with the default device of the thread that is here.

    A thread does not inherit it, and what is compiled under another one would be compiled
    again.
    """
    default_device = jax.config.jax_default_device

    def call(*args: Any) -> Any:
        with jax.default_device(default_device):
            return function(*args)

    return call
