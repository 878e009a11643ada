"""The loop over the steps of a stage: what ends a stage before its last step."""

import jax
import jax.numpy as jnp
import pytest

from jaxvsnerf.errors import NonFiniteLoss
from jaxvsnerf.training.checkpoints import Checkpoints
from jaxvsnerf.training.loop import run_stage
from jaxvsnerf.training.saving import Saver
from jaxvsnerf.training.step import NO_STEP, StepMetrics
from jaxvsnerf.training.trainer import LoopSpec, Trainer
from tests import tiny as t

pytestmark = pytest.mark.unoptimized


def test_a_loss_that_is_not_finite_names_step_stage_and_last_checkpoint(tmp_path):
    stage, loop = t.STAGES[0], LoopSpec(report_every=2, checkpoint_every=2)
    trainer = Trainer(
        t.make_field(), t.STAGES, t.step_spec(), loop, None, 0, tuple(jax.local_devices()[:1])
    )

    def steps(state, scene, key, count):
        done = state.step + count
        bad = jnp.where(done > 3, 3, NO_STEP)
        return state.replace(step=done), StepMetrics(jnp.float32(1), jnp.float32(1), bad)

    checkpoints, reports = Checkpoints(tmp_path / "checkpoints", ("stage1",)), []
    start = t.stage_state(t.make_field(), stage)
    expected = (
        "not finite at step 3 of stage1; last good checkpoint: stage1 step 2. Lower stage1.lr"
    )
    with Saver(checkpoints) as saver, pytest.raises(NonFiniteLoss, match=expected):
        run_stage(trainer, stage, steps, start, None, saver, reports.append, lambda: False)
    assert checkpoints.steps("stage1") == [2]
    assert [progress.step for progress in reports] == [2]
