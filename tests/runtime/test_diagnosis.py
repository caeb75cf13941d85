"""What is said of numbers from inside a network: a sentence for each that is unusual, and none for others."""

import math

import fake_network
import numpy as np
import pytest

from runtime.callbacks import TerminateOnNaN
from runtime.diagnosis import Diagnose, Diagnosis
from runtime.errors import TrainingError
from runtime.inside import Record
from runtime.trainer import fit

LAYERS = ("dense_1", "relu_1", "dense_2", "tanh_1", "dense_3")
PARAMETERS = ("dense_1.kernel", "dense_1.bias", "dense_2.kernel", "dense_3.kernel")


def record(step=0, **changes):
    """A healthy step, but for what is changed: `dead={"relu_1": 0.9}`."""
    values = {
        "activation": dict.fromkeys(LAYERS, 1.0),
        "gradient": dict.fromkeys(LAYERS, 0.01),
        "zeros": dict.fromkeys(LAYERS, 0.2),
        "dead": dict.fromkeys(LAYERS, 0.0),
        "extremes": {"tanh_1": 0.1},
        "parameter_gradient": dict.fromkeys(PARAMETERS, 0.1),
        "weight": {**dict.fromkeys(PARAMETERS, 1.0), "dense_1.bias": 0.0},
        "update": dict.fromkeys(PARAMETERS, 1e-3),
    }
    return Record(step, 1.0, **{key: {**value, **changes.get(key, {})} for key, value in values.items()})


def found(*records):
    return [(finding.where, finding.what) for finding in Diagnosis(list(records)).findings]


def test_nothing_is_said_of_a_healthy_training():
    assert found(record(), record(10)) == []
    assert "nothing looks wrong" in str(Diagnosis([record()]))
    assert "nan" not in str(Diagnosis([record()])), "a bias that is 0 has no ratio"
    assert found() == [] and str(Diagnosis()) == "nothing was measured"


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"parameter_gradient": {"dense_1.kernel": 1e-6}}, "dense_1.kernel", "gradients vanish"),
        ({"parameter_gradient": {"dense_1.kernel": 1e6}}, "dense_1.kernel", "gradients explode"),
        ({"dead": {"relu_1": 0.9, "dense_2": 0.9}}, "relu_1", "90% of its units give 0"),
        ({"extremes": {"tanh_1": 0.8}}, "tanh_1", "80% of its values are at an end"),
        ({"update": {"dense_2.kernel": 1e-8}}, "dense_2.kernel", "it hardly learns"),
        ({"update": {"dense_2.kernel": 0.5}}, "dense_2.kernel", "it jumps"),
    ],
)
def test_each_has_a_sentence_and_a_remedy(changes, where, words):
    (finding,) = Diagnosis([record(), record(10, **changes), record(20, **changes)]).findings
    assert finding.where == where and words in finding.what and finding.remedy
    assert "findings:" in str(Diagnosis([record(**changes)] * 2))


def test_where_the_first_number_was_born_that_is_none():
    forward = record(7, activation={"relu_1": math.nan, "dense_2": math.inf})
    assert found(record(), forward, record(8, activation={"dense_1": math.nan})) == [
        ("relu_1", "the first NaN or infinity was born here in step 7, on the way forward")
    ]
    backward = record(3, gradient={"dense_1": math.nan, "dense_2": math.inf})
    assert found(backward) == [
        ("dense_2", "the first NaN or infinity was born here in step 3, on the way backward")
    ]
    assert Diagnosis([backward]).to_json()["records"][0]["gradient"]["dense_1"] == "nan"


class Looking(fake_network.Network):
    """A network that says what is inside, and whose gradient is no number in one update."""

    home = fake_network.__name__
    bad_step = 33

    def _gradients(self, flat, y):
        loss, found = super()._gradients(flat, y)
        if self.step == self.bad_step:
            found["dense.kernel"][0, 0] = np.nan
        return loss, found

    def diagnose(self, x, y):
        outputs = self.predict(x)
        loss, found = self._gradients(self._flat(x), y)
        total = float(np.square(found["dense.kernel"]).sum())
        measures = {
            "dense/activation": float(np.square(outputs).sum()),
            "dense/zeros": 0.0,
            "dense/dead": 0.0,
        }
        return loss, {**measures, "dense/gradient": total, "dense.kernel/gradient": total}


@pytest.mark.parametrize("bad_step", [1, 20, 33, 39, 49])
@pytest.mark.parametrize(
    "options", [{}, {"augment": "shift=0.1"}, {"accumulate": 2}], ids=["", "made", "parts"]
)
def test_the_step_is_found_between_two_measurements(bad_step, options, monkeypatch):
    """By doing the updates since the last one again; the network is then where the epoch began, as ever."""
    monkeypatch.setattr(Looking, "bad_step", bad_step)
    x, y = fake_network.small_images(500)
    network, watch = Looking(seed=1), Diagnose(x, y, every=20)
    before = network.parameters["dense.kernel"].copy()
    size = 10 // options.get("accumulate", 1)
    with pytest.raises(TrainingError, match="diverged"):
        fit(network, x, y, batch_size=size, verbose=0, callbacks=[watch], **options)
    (finding,) = watch.diagnosis.findings
    assert f"born here in step {bad_step}, on the way backward" in finding.what and finding.where == "dense"
    assert network.step == 0
    np.testing.assert_array_equal(network.parameters["dense.kernel"], before)


def test_a_training_that_ends_without_an_error_is_looked_at_too():
    x, y = fake_network.small_images(500)
    watch = Diagnose(x, y, every=7)
    fit(Looking(), x, y, batch_size=10, verbose=0, callbacks=[watch, TerminateOnNaN()])
    assert "in step 33" in watch.diagnosis.findings[0].what


def test_it_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    records = [record(step, activation={"relu_1": value}) for step, value in ((0, 1.0), (10, math.nan))]
    figure = Diagnosis(records).plot(tmp_path / "drawn.svg")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "root mean squares over depth" and titles[3] == "update / weight"
    assert [line.get_label() for line in figure.axes[3].lines] == [
        name for name in PARAMETERS if name != "dense_1.bias"
    ]  # which is 0
    assert figure.axes[2].lines[0].get_xdata().tolist() == [0, 10]
    assert "<svg" in (tmp_path / "drawn.svg").read_text(encoding="utf-8")
    assert len(Diagnosis().plot().axes) == 4
