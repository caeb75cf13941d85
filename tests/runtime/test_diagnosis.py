"""What is said of numbers from inside a network: a sentence for each that is unusual, and none for others."""

import math

import pytest

from runtime.diagnosis import Diagnosis, Record

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
