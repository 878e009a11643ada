"""Programs that several threads share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


def first_alone(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its first call alone: it compiles, and the calls after it need not."""
    lock, compiled = threading.Lock(), threading.Event()

    def call(*args: Any, **options: Any) -> Any:
        if compiled.is_set():
            return function(*args, **options)
        with lock:
            result = function(*args, **options)
            compiled.set()
        return result

    return call
