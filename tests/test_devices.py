"""Several devices compute what one computes."""

import os
import subprocess
import sys

SCRIPT = """
import jax, numpy as np
from tests import test_training as t
devices = jax.local_devices()
assert len(devices) == 4, devices
views = t.views.__wrapped__() if hasattr(t.views, "__wrapped__") else t.views._get_wrapped_function()()
scene = (t.scene.__wrapped__ if hasattr(t.scene, "__wrapped__") else t.scene._get_wrapped_function())(views)
field = (t.field.__wrapped__ if hasattr(t.field, "__wrapped__") else t.field._get_wrapped_function())()
for stage in t.STAGES:
    one, sums_one = t.run(field, stage, scene, [3], devices=devices[:1])
    four, sums_four = t.run(field, stage, scene, [3], devices=devices)
    # The same rays and jitter; only the order of the float32 sums differs.
    np.testing.assert_allclose(sums_one[0].loss, sums_four[0].loss, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-4), one.params, four.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-2), one.sampler, four.sampler)
print("equal")
"""


def test_four_devices_take_the_step_of_one():
    # Rays a step divide evenly by 3 views and 4 devices, so both draw the same ones.
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "PYTHONPATH": os.getcwd(),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and "equal" in done.stdout, done.stderr
