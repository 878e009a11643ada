"""Silence for answers that come after their reader has given up."""

from __future__ import annotations

import sys
from typing import Any

CLOSED = "Event loop is closed"


def drop_late_answers() -> None:
    """From now on, nothing is printed of threads that answer an event loop which is closed.

    Orbax asks for all arrays of a checkpoint at once. After the first that cannot be read it
    closes its event loop, and TensorStore's threads print a traceback for each later answer.
    """
    before = sys.unraisablehook
    if getattr(before, "drops_late_answers", False):
        return

    def hook(unraisable: Any) -> None:
        late = isinstance(unraisable.exc_value, RuntimeError)
        if not (late and str(unraisable.exc_value) == CLOSED):
            before(unraisable)

    hook.drops_late_answers = True
    sys.unraisablehook = hook
