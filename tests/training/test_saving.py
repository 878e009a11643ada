"""Checkpoints written in a thread lose nothing, and say so where they could not be written."""

import threading

import jax.numpy as jnp
import numpy as np
import pytest

from jaxvsnerf.training.saving import Saver
from jaxvsnerf.types import TrainState


class Slow:
    """Checkpoints that are written when `go` is set."""

    def __init__(self, error=None):
        self.go, self.error, self.written = threading.Event(), error, []

    def save(self, stage, state):
        self.go.wait(10)
        if self.error:
            raise self.error
        self.written.append((stage, np.array(state.params["w"])))

    def last(self):
        return f"{len(self.written)} written"


def state(value):
    return TrainState(jnp.int32(1), {"w": jnp.full(3, value)}, None, None)


def test_a_state_may_be_donated_while_it_is_written():
    slow, given = Slow(), state(2.0)
    with Saver(slow) as saver:
        saver.save("stage1", given)
        given.params["w"].delete()  # as a donating step does
        assert not slow.written
        slow.go.set()
        assert saver.last() == "1 written"
    ((stage, value),) = slow.written
    assert stage == "stage1" and (value == 2.0).all()


@pytest.mark.parametrize("call", [lambda s: s.save("stage1", state(1.0)), Saver.wait, Saver.last])
def test_what_went_wrong_is_raised_by_the_next_call_and_once(call):
    slow = Slow(OSError("disk full"))
    slow.go.set()
    with Saver(slow) as saver:
        saver.save("stage1", state(0.0))
        with pytest.raises(OSError, match="disk full"):
            call(saver)
        slow.error = None
        saver.wait()


def test_leaving_the_block_waits():
    slow = Slow()
    with pytest.raises(KeyError), Saver(slow) as saver:
        saver.save("stage1", state(0.0))
        threading.Timer(0.05, slow.go.set).start()
        raise KeyError
    assert len(slow.written) == 1
