"""What threads answer after their reader has given up is not printed."""

import sys
from types import SimpleNamespace

from jaxvsnerf.system.late import CLOSED, drop_late_answers


def test_late_answers_are_dropped_and_other_errors_told(monkeypatch):
    told = []
    monkeypatch.setattr(sys, "unraisablehook", lambda one: told.append(one.exc_value))
    for _ in range(2):
        drop_late_answers()
    errors = RuntimeError(CLOSED), RuntimeError("other"), KeyError(CLOSED)
    for error in errors:
        sys.unraisablehook(SimpleNamespace(exc_value=error))
    assert told == list(errors[1:])
