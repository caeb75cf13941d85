"""A module that keeps states of examples: the next batch begins where the last one ended."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest

from compiler.derive.vjp import cotangent_name, vjp
from compiler.frontend.lower import lower
from compiler.frontend.parse import load_model
from compiler.ir.tensor.interpreter import run
from compiler.toolchain.compile_file import Options
from runtime.checkpoint import load_checkpoint, load_weights, save_checkpoint
from runtime.errors import DataError, TrainingError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.trainer import fit
from tests.workshop import compile_quickly, import_module

STATEFUL = '''"""A layer of one's own with states of examples, its output and a count."""

from compiler import SGD, Dense, Forward, GlorotUniform, Input, Layer, MeanSquaredError, Parameter, Sequential


class Cell(Layer):
    def forward(self, x):
        return Forward(
            """
            y[b, i] = tanh(x[b, i] + sum[j](recurrent[j, i] * h[b, j])) + 0.1 * count[b]
            new_h[b, i] = y[b, i]
            new_count[b] = count[b] + 1
            """,
            x,
            {"recurrent": Parameter((*x, *x), GlorotUniform())},
            example_state={"h": x, "count": ()},
        )


model = Sequential([Input(3), Cell(), Dense(4)], loss=MeanSquaredError(), optimizer=SGD(0.2))
'''
BATCH, PARTS = 9, 3
NAMES = ["cell_1.h", "cell_1.count"]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "kept.py"
    path.write_text(STATEFUL)
    return path


@pytest.fixture(scope="module")
def module(workshop: Path, path: Path):
    return import_module(compile_quickly(path, Options(path.parent, target="scalar", dtype="float64")).module)


@pytest.fixture(scope="module")
def lowered(path: Path):
    return lower(load_model(path))


def data(parts: int = PARTS, batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Batches one after another, as they are trained on without shuffling."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(parts * batch, 3)), rng.normal(size=(parts * batch, 4))


def halves(array: np.ndarray) -> list[np.ndarray]:
    return np.split(array, PARTS)


def kept(net) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in net.example_state.items()}


def everything(net) -> dict[str, bytes]:
    arrays = {**net.parameters, **net.optimizer_state}
    return {name: array.tobytes() for name, array in arrays.items()} | kept(net)


def test_predictions_go_on_where_they_ended(module, lowered):
    net = module.Network(seed=1)
    states = {name: np.zeros((BATCH, *shape)) for name, shape, _ in module_states(lowered)}
    for x in halves(data()[0]):
        expected = run(lowered.predict, {**net.parameters, **states, "input": x})
        states = {name: expected[new] for name, _, new in module_states(lowered)}
        np.testing.assert_allclose(net.predict(x), expected["dense_1"], rtol=1e-9)
        assert list(net.example_state) == NAMES
        for name, array in net.example_state.items():
            np.testing.assert_allclose(array, states[name], rtol=1e-9)


def module_states(lowered):
    roles = {role.of: name for name, role in lowered.roles.items() if role.use == "new_example_state"}
    return [(row.name, row.example, roles[row.name]) for row in lowered.signature.of("example_state")]


def test_gradients_are_those_at_what_is_kept(module, lowered):
    net = module.Network(seed=1)
    (x, _, _), (y, _, _) = map(halves, data())
    net.predict(x)
    states = {name: array.copy() for name, array in net.example_state.items()}
    loss, gradients = net.value_and_grad(x, y)
    assert kept(net) == {name: array.tobytes() for name, array in states.items()}, "it updates nothing"
    program = vjp(lowered.training, lowered.total, tuple(net.parameters))[0]
    expected = run(program, {**net.parameters, **states, "input": x, "label": y})
    np.testing.assert_allclose(loss, expected[lowered.total], rtol=1e-9)
    for name, gradient in gradients.items():
        np.testing.assert_allclose(gradient, expected[cotangent_name(name)], rtol=1e-8, atol=1e-12)
    assert net.train_step(x, y) == pytest.approx(loss, rel=1e-12)
    for name, _, new in module_states(lowered):
        np.testing.assert_allclose(net.example_state[name], expected[new], rtol=1e-9)


def test_rows_of_a_data_set_are_the_examples_in_their_order(module):
    x, y = data(1)
    rows = np.array([4, 1, 8])
    one, other = module.Network(seed=1), module.Network(seed=1)
    for _ in range(2):
        assert one.train_step(x, y, rows=rows) == other.train_step(x[rows], y[rows])
    assert everything(one) == everything(other)


def test_the_number_of_threads_changes_no_bit(module):
    found = []
    for threads in (1, 2):
        net = module.Network(seed=1, threads=threads)
        for x, y in zip(*map(halves, data()), strict=True):
            net.train_step(x, y)
            net.predict(x)
        found.append(everything(net))
    assert found[0] == found[1]


def test_a_batch_of_another_size_is_refused(module):
    net = module.Network(seed=1)
    x, y = data(1)
    first = net.predict(x)
    before = kept(net)
    for call in (lambda: net.predict(x[:4]), lambda: net.train_step(x[:4], y[:4])):
        with pytest.raises(ValueError, match="x: expected a batch of 9 as before"):
            call()
    with pytest.raises(ValueError, match="expected shape"):
        net.train_step(x, y[:4])
    assert net.predict(x[:0]).shape == (0, 4) and kept(net) == before
    net.reset_states()
    assert net.example_state == {} and net.predict(x[:4]).shape == (4, 4)
    net.reset_states()
    np.testing.assert_array_equal(net.predict(x), first)
    net.initialize()
    assert net.example_state == {}


def test_a_batch_in_parts_is_refused(module):
    net = module.Network(seed=1)
    x, y = data(1)
    with pytest.raises(ValueError, match="a batch in parts"):
        net.gradients(x, y, before=9)


def test_copies_and_pickles_go_on_alike(module):
    net = module.Network(seed=1)
    x, y = data(1)
    net.train_step(x, y)
    # As a pickle does it.
    function, arguments, state = net.__reduce__()
    unpickled = function(*arguments)
    unpickled.__setstate__(state)
    for other in (copy.deepcopy(net), unpickled):
        assert everything(other) == everything(net)
        np.testing.assert_array_equal(other.predict(x), copy.copy(net).predict(x))
        assert everything(other) != everything(net), "each has its own"


def test_what_is_kept_can_be_put_in_its_place(module):
    net = module.Network(seed=1)
    x, _ = data(1)
    net.predict(x)
    states = {name: array.copy() for name, array in net.example_state.items()}
    second = net.predict(x)
    net.example_state = states
    np.testing.assert_array_equal(net.predict(x), second)
    before = kept(net)
    for wrong in ({NAMES[0]: states[NAMES[0]]}, {**states, NAMES[1]: np.zeros((9, 5))}):
        with pytest.raises(ValueError, match="example_state: expected the shapes"):
            net.example_state = wrong
    assert kept(net) == before
    net.example_state = {}
    assert net.example_state == {}


def test_fit_goes_through_batches_in_order(module):
    x, y = data()
    net, by_hand = module.Network(seed=1), module.Network(seed=1)
    fit(net, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    for _ in range(2):
        for part in zip(halves(x), halves(y), strict=True):
            by_hand.train_step(*part)
    assert everything(net) == everything(by_hand)


def test_shuffling_is_warned_of(module):
    """Where there is more than one batch; not without `shuffle`."""
    x, y = data()
    with pytest.warns(UserWarning, match="shuffle=False") as said:
        fit(module.Network(seed=1), x, y, batch_size=BATCH, verbose=0)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(module.Network(seed=1), x, y, batch_size=BATCH, verbose=0, shuffle=False)
        fit(module.Network(seed=1), x, y, batch_size=len(x), verbose=0)


def test_validation_begins_anew_and_leaves_what_training_keeps(module):
    x, y = data()
    net, alone = module.Network(seed=1), module.Network(seed=1)
    held_out = x[:5] + 1, y[:5]
    history = fit(net, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0, validation_data=held_out)
    fit(alone, x, y, batch_size=BATCH, epochs=2, shuffle=False, verbose=0)
    assert everything(net) == everything(alone)
    net.reset_states()
    assert history.history["val_loss"][-1] == evaluate(net, *held_out).loss
    assert len(net.example_state[NAMES[0]]) == 5, "an evaluation that is asked for goes on too"


def test_a_number_of_samples_that_batches_do_not_divide(module):
    x, y = data()
    net = module.Network(seed=1)
    with pytest.raises(DataError, match="the model is stateful"):
        fit(net, x, y, batch_size=8, verbose=0)
    with pytest.raises(DataError, match="the model is stateful"):
        evaluate(net, x, y, 8)
    with pytest.raises(TrainingError, match="accumulate=1"):
        fit(net, x, y, batch_size=9, accumulate=3, verbose=0)


def test_checkpoints_hold_it_and_weights_do_not(module, tmp_path: Path):
    x, y = data()
    interface = ModelInterface.of_module(module)
    net, resumed, plain = (module.Network(seed=n) for n in (1, 2, 3))
    net.train_step(x[:9], y[:9])
    save_checkpoint(net, tmp_path / "state", epoch=1, batch_size=9, interface=interface)
    load_checkpoint(resumed, tmp_path / "state")
    load_weights(plain, tmp_path / "state")
    assert everything(resumed) == everything(net) and plain.example_state == {}
    net.train_step(x[9:18], y[9:18])
    resumed.train_step(x[9:18], y[9:18])
    assert everything(resumed) == everything(net)
