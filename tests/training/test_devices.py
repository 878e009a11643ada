"""Several devices compute what one computes."""

import os
import subprocess
import sys

from tests.commands import QUICK_TO_COMPILE, xla_flags

SCRIPT = """
import jax, numpy as np
from tests import tiny as t
devices = jax.local_devices()
assert len(devices) == 4, devices
scene, field = t.make_scene(t.make_views()), t.make_field()

def near(a, b, atol):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, atol=atol), a, b)

for stage in t.STAGES:
    one, sums_one = t.run(field, stage, scene, [3], devices=devices[:1])
    four, sums_four = t.run(field, stage, scene, [3], devices=devices)
    # The same rays and jitter; only the order of the float32 sums differs.
    np.testing.assert_allclose(sums_one[0].loss, sums_four[0].loss, rtol=1e-5)
    near(one.params, four.params, 2e-4)
    near(one.sampler, four.sampler, 1e-2)
print("equal")
"""


def test_four_devices_take_the_step_of_one():
    # Rays a step divide evenly by 3 views and 4 devices, so both draw the same ones.
    environment = {
        **os.environ,
        **QUICK_TO_COMPILE,
        "JAX_PLATFORMS": "cpu",
        **xla_flags("--xla_force_host_platform_device_count=4"),
        "PYTHONPATH": os.getcwd(),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and "equal" in done.stdout, done.stderr
