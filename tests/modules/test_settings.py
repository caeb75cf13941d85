"""What may be set on a network: numbers that make sense, and a clear error for everything else."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tests.workshop import import_module

NOT_NUMBERS = [
    None,
    "0.1",
    b"1",
    "x" * 1000,
    1j,
    True,
    np.True_,
    [0.1],
    (1,),
    {},
    np.ones(2),
    np.ones(1),
    np.array(1),
    np.ma.masked,
    np.datetime64(3, "s"),
    np.timedelta64(3),
    Decimal(1),
    Fraction(1, 2),
    int,
    object(),
]
NOT_INTEGERS = [*NOT_NUMBERS, 1.5, 1.0, np.float32(2), float("nan"), float("inf")]

# The setting, a value, and a word of the message.
WRONG_VALUES = [
    *(("learning_rate", value, "finite") for value in (float("nan"), float("inf"), -float("inf"), -1e-9, -1)),
    *(
        ("learning_rate", value, "finite")
        for value in (np.float32("nan"), np.float16("inf"), np.longdouble("inf"))
    ),
    *(("learning_rate", value, "finite") for value in (1e39, 10**40, 10**5000, -(10**5000))),
    ("step", -1, "0 to 2**64 - 1"),
    ("step", 2**64, "2**64"),
    ("step", 10**5000, "int"),
    ("step", np.int8(-3), "-3"),
    ("threads", 0, "positive"),
    ("threads", -(10**5000), "positive"),
]
RIGHT_VALUES = [
    *(
        ("learning_rate", value, float(value))
        for value in (0, 0.0, 1, 0.25, 1e38, np.float32(0.5), np.int64(2))
    ),
    *(("learning_rate", value, 0.5) for value in (np.float16(0.5), np.longdouble(0.5), np.float64(0.5))),
    *(("step", value, int(value)) for value in (0, 7, 2**32, 2**64 - 1, np.uint8(255), np.int64(3))),
    *(("seed", value, int(value)) for value in (0, -1, 2**70, -(2**70), np.uint64(2**64 - 1), np.int8(-4))),
    *(("threads", value, 1) for value in (1, np.int64(1))),
]


@pytest.fixture
def net(border):
    return import_module(border("pixels").module).Network(seed=1)


def _settings(net) -> tuple:
    return net.learning_rate, net.step, net.seed, net.threads


def test_values_of_other_kinds(net) -> None:
    """Before, text and arrays became NumPy's or Cython's error, and 1.5 a step that failed later."""
    before = _settings(net)
    cases = [("learning_rate", value) for value in NOT_NUMBERS]
    cases += [(name, value) for name in ("step", "seed", "threads") for value in NOT_INTEGERS]
    for name, value in cases:
        with pytest.raises(TypeError, match=f"^{name}: expected an? (number|integer), found ") as caught:
            setattr(net, name, value)
        assert len(str(caught.value)) < 150
        if name in ("seed", "threads") and value is not None:
            with pytest.raises(TypeError, match=f"^{name}: expected an integer, found "):
                type(net)(**{name: value})
    assert _settings(net) == before


def test_values_out_of_range(net) -> None:
    before = _settings(net)
    for name, value, word in WRONG_VALUES:
        with pytest.raises(ValueError, match=f"^{name}: expected ") as caught:
            setattr(net, name, value)
        assert word in str(caught.value)
        assert len(str(caught.value)) < 150
    assert _settings(net) == before


@pytest.mark.parametrize("count", [9, np.int64(64), 2**70, 10**5000], ids=["9", "64", "large", "huge"])
def test_more_threads_than_can_take_part(count, net) -> None:
    """Before, 9 became 8 without a word."""
    with pytest.warns(UserWarning, match="^threads: at most 8 can take part in a step, found ") as caught:
        net.threads = count
        assert type(net)(threads=count).threads == net.threads == 8
    assert len(caught) == 2 and all(len(str(one.message)) < 150 for one in caught)


def test_a_machine_of_many_processors_is_no_mistake(net, monkeypatch, recwarn) -> None:
    monkeypatch.setenv("CHAINRULE_THREADS", "64")
    assert type(net)().threads == 8
    assert not recwarn.list


def test_values_that_are_taken(net) -> None:
    x, y = np.ones((3, 5), np.float32), [0, 1, 2]
    for name, value, read in RIGHT_VALUES:
        setattr(net, name, value)
        assert getattr(net, name) == read, (name, value)
        assert np.isfinite(net.train_step(x, y)), (name, value)
        net.initialize()


def test_nothing_else_can_be_set_or_deleted(net) -> None:
    for name in ("learning_rate", "step", "seed", "threads", "parameters", "state", "optimizer_state"):
        with pytest.raises((AttributeError, NotImplementedError)):
            delattr(net, name)
    for name in ("parameters", "state", "optimizer_state", "steps"):
        with pytest.raises(AttributeError):
            setattr(net, name, {})


def test_a_network_that_was_not_initialized_is_whole(border) -> None:
    """A subclass may leave __init__ out, and anyone may call it again, in the middle of a step too."""
    module = import_module(border("pixels").module)

    class Own(module.Network):
        def __init__(self, tag):
            self.tag = tag

    net, x, y = Own("a"), np.ones((3, 5), np.float32), [0, 1, 2]
    assert np.isfinite(net.train_step(x, y))
    assert net.predict(x).shape == (3, 3)
    parameters = net.parameters
    module.Network.__init__(net, seed=5)
    assert net.parameters is parameters
    same = module.Network(seed=5)
    assert all(np.array_equal(parameters[name], array) for name, array in same.parameters.items())
