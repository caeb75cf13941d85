"""A few kills and damages of each kind; `make crash-test` does hundreds and thousands of them."""

import os
import sys
from pathlib import Path

import fake_network
import pytest

sys.path.insert(0, str(Path(__file__).parent))

import crash

from runtime.checkpoint import read_checkpoint


@pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked")
def test_a_training_that_is_killed_loses_nothing(tmp_path):
    report = crash.crash(fake_network.make_module("fake_crash"), tmp_path, kills=12, cuts=50, flips=300)
    assert report.wrong == [] and report.kills == 12
    assert report.flips == 300 and report.cuts > 50
    assert len(report.places) == 3 and "always whole" in report.places[1]


def test_what_is_lost_would_be_found(tmp_path):
    """The checks can fail: a checkpoint that is older than the last, one that is gone, one that is cut."""
    report, path = crash.Report(), tmp_path / "file"
    subject = crash.subject_of(fake_network.make_module("fake_found"))
    subject.train(path)
    step = read_checkpoint(path).state.step
    assert crash._look_at(path, step, report) == step and report.wrong == []
    crash._look_at(path, step + 1, report)
    path.write_bytes(path.read_bytes()[:-1])
    crash._look_at(path, step, report)
    path.unlink()
    crash._look_at(path, step, report)
    assert ["and it was" in report.wrong[0], "damaged" in report.wrong[1], "gone" in report.wrong[2]] == [
        True
    ] * 3
