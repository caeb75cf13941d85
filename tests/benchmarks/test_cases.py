"""The table of cases, the batches of each kind of net, and what the report says of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.batches import make_batches
from benchmarks.cases import CASES, Case, needed_files, parse_case
from benchmarks.report import render_case, render_summary
from benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]


def test_every_case_has_its_net_and_its_model_file() -> None:
    assert {case.workload for case in CASES.values()} == WORKLOADS.keys()
    assert all((ROOT / file).is_file() for file in needed_files(CASES.values()))
    assert parse_case("mnist_cnn/train/7") == Case("mnist_cnn", "train", 7)
    with pytest.raises(ValueError, match="MODEL/train/BATCH"):
        parse_case("mnist_cnn/train/0")


@pytest.mark.parametrize("name", ["gpt_small", "unet_small", "conv1d"])
def test_batches_are_what_a_net_is_given(name: str) -> None:
    workload = WORKLOADS[name]
    (batch, *_), _ = make_batches(4, workload)
    assert batch.images.shape == (4, *workload.input_shape)
    if workload.vocabulary:
        assert batch.images.max() < workload.vocabulary and batch.labels.shape == batch.images.shape
        np.testing.assert_array_equal(batch.images[:, 1:], batch.labels[:, :-1])
    else:
        assert batch.images.dtype == np.float32
        wanted = {"mask": (4, *workload.input_shape), "class": (4,)}[workload.labels]
        assert batch.labels.shape == wanted


def record(start: float) -> dict:
    rows = [
        {
            "threads": 1,
            "peer": peer,
            "median": seconds,
            "fastest": seconds,
            "evidence": 0.5,
            "setting": "as is",
        }
        | {"start": loss, "memory": 3 * 2**20}
        for peer, seconds, loss in (("chainrule", 0.002, 2.3), ("torch", 0.004, start))
    ]
    return {
        "case": "lenet5_valid/train/128",
        "data": "digits",
        "rounds": 1,
        "date": "",
        "load": "",
        "rows": rows,
    }


def test_a_peer_that_starts_at_another_loss_is_pointed_out() -> None:
    assert "ANOTHER LOSS" not in render_case(record(2.5))
    assert "| 1.00 | 147.200, 0.500 | 3 | as is; ANOTHER LOSS: do not compare |" in render_case(record(147.2))


def test_the_summary_has_examples_a_second() -> None:
    assert "| 1 | 2.00 | 64,000 | 4.00 | torch | 2.00 |" in render_summary([record(2.3)])


def test_the_summary_has_the_mean_of_training_and_where_it_loses() -> None:
    lost = record(2.3)
    lost["rows"][0]["median"] = 0.008
    assert "2 rows: **1.00** times" in render_summary([record(2.3), lost])
    assert "slower than it in 1." in render_summary([record(2.3), lost])
