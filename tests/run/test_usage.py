"""Time to the first step and memory."""

import json
import sys
import time

import numpy as np
import pytest

from jaxvsnerf.run.usage import Usage, load_usage, save_usage, usage_facts
from jaxvsnerf.system.measure import Memory, peak_memory, process_age


class Device:
    """A device that says this of its memory."""

    def __init__(self, stats):
        self.stats = stats

    def memory_stats(self):
        return self.stats


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says when a process started")
def test_the_age_of_a_process_counts_its_imports():
    before, started = process_age(), time.perf_counter()
    time.sleep(0.2)
    passed = time.perf_counter() - started
    # The kernel counts the start in ticks of 10 ms.
    assert abs(process_age() - before - passed) < 0.05
    assert before > 0


def test_the_peak_is_the_fullest_devices():
    devices = [Device({"peak_bytes_in_use": peak, "bytes_in_use": 1}) for peak in (5, 9, 7)]
    assert peak_memory(devices) == Memory(9, "device")


@pytest.mark.parametrize("stats", [None, {}, {"bytes_in_use": 3}])
def test_a_device_that_keeps_no_account_leaves_the_process(stats):
    held = np.ones(30_000_000, np.uint8)
    memory = peak_memory([Device(stats)])
    assert memory.of == "process" and held.nbytes < memory.bytes < 1e12


def test_usage_is_kept_and_told(tmp_path):
    assert load_usage(tmp_path) is None
    for memory in (Memory(3_210_000_000, "device"), None):
        usage = Usage(12.34, memory, {"load": 1.5})
        save_usage(tmp_path, usage)
        assert load_usage(tmp_path) == usage
    assert usage_facts(usage) == {"first step after": "12.3 s"}
    assert usage_facts(Usage(75.0, Memory(3_210_000_000, "device"))) == {
        "first step after": "1 min 15 s",
        "peak memory of the device": "3.21 GB",
    }


def test_a_run_tells_its_time_to_the_first_step_and_its_memory(run_folder):
    usage = load_usage(run_folder)
    rows = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    assert usage.first_step > rows[0]["seconds"]
    for text in ((run_folder / "report.html").read_text(), (run_folder / "stdout.txt").read_text()):
        for label, value in usage_facts(usage).items():
            assert label in text and value in text
    assert usage.memory.of == "process"
    phases = {"load", "train", "evaluate", "render", "export", "report"}
    assert set(usage.seconds) == phases
    assert all(seconds > 0 for seconds in usage.seconds.values())
