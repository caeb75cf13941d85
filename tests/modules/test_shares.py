"""A step that several compute together, each a share of the batch: here threads, with what MPI would do.

The bits of a module alone are what is expected of any number of them, also of more than there are tiles.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from compiler.frontend.parse import load_model
from compiler.ir.module.supersteps import exchanges_of
from compiler.module_source import compile_to_source
from compiler.toolchain.compile_file import Options
from runtime.batches import Batch
from runtime.interface import ModelInterface
from runtime.updates import update
from tests.machines import TARGETS
from tests.modules.threads_as_ranks import Share, together
from tests.workshop import compile_quickly, import_module

# Statistics of the batch, sums at once, lanes, a mean over labels that are not ignored, random numbers.
EVERYTHING = """
from compiler import SGD, BatchNormalization, CrossEntropy, Dense, Dropout, Input, ReLU, Sequential, Softmax

model = Sequential(
    [Input(600), Dense(128), BatchNormalization(), ReLU(), Dropout(0.3), Dense(10), Softmax()],
    loss=CrossEntropy(ignore_index=-100),
    optimizer=SGD(0.1),
)
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("everything") / "everything.py"
    path.write_text(EVERYTHING)
    return path


@pytest.fixture(scope="module")
def everything(workshop: Path, path: Path) -> ModuleType:
    return import_module(compile_quickly(path, Options(path.parent)).module)


def batch(module: ModuleType, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    real = module.INPUT_KIND == "real"
    shape = (count, *module.INPUT_SHAPE)
    x = rng.random(shape, dtype=np.float32) if real else rng.integers(0, module.INPUT_LIMIT, shape)
    if module.LABEL_KIND == "real":
        return x, rng.random((count, *module.LABEL_SHAPE), dtype=np.float32)
    return x, rng.integers(0, module.LABEL_LIMIT, (count, *module.LABEL_SHAPE))


def half_a_step(module: ModuleType, x: Any, y: Any, share: Share | None, **given: Any) -> tuple[Any, ...]:
    """All that the first half of a step gives and changes."""
    network = module.Network(seed=3, threads=1 + (share.rank % 2 if share else 0))
    loss, gradients = network.gradients(x, y, share=share, **given)
    return loss, gradients.flat.tobytes(), [(name, array.tobytes()) for name, array in network.state.items()]


@pytest.mark.parametrize("count", [1, 5, 37, 130])
def test_the_bits_of_one_alone(everything: ModuleType, count: int) -> None:
    x, y = batch(everything, 200)
    y[::3] = -100
    given = {"rows": np.random.default_rng(1).permutation(200)[:count], "before": 10}
    alone = half_a_step(everything, x, y, None, **given)
    for ranks in (1, 2, 3, 4, 8):
        for found in together(ranks, lambda share: half_a_step(everything, x, y, share, **given)):
            assert found == alone, ranks


@pytest.mark.parametrize("name", ["pixels", "letters", "targets"])
def test_every_kind_of_input(border: Any, name: str) -> None:
    module = import_module(border(name).module)
    x, y = batch(module, 19)
    alone = half_a_step(module, x, y, None)
    assert together(3, lambda share: half_a_step(module, x, y, share)) == [alone] * 3


def test_in_any_order(everything: ModuleType) -> None:
    """Each a stretch of the batch with all lanes, added up as it comes: the same but for rounding."""
    x, y = batch(everything, 100)

    def gradient(share: Share | None) -> tuple[float, np.ndarray]:
        loss, gradients = everything.Network(seed=3).gradients(x, y, share=share)
        return loss, gradients.flat

    loss, expected = gradient(None)
    for other, found in together(12, gradient, ordered=False):
        assert other == pytest.approx(loss, rel=1e-5)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("size", [None, 40])
@pytest.mark.parametrize("ranks", [1, 3, 8])
def test_statistics_of_each(everything: ModuleType, ranks: int, size: int | None) -> None:
    """The mean of what each finds of its own examples, by labels that count; states by examples."""
    x, y = batch(everything, 120)
    y[:50:2] = -100
    rows = np.random.default_rng(1).permutation(120)[:87]
    whole = Batch(x, y, rows, part_size=size)

    def each(share: Share) -> tuple[dict[str, float], Any]:
        network = everything.Network(seed=3)
        values = update(network, whole, ModelInterface.of_module(everything), share)
        return values, {**network.parameters, **network.state}

    network = everything.Network(seed=3)
    alone = [everything.Network(seed=3) for _ in range(ranks)]
    examples, losses, gradient, before = [0] * ranks, [], np.zeros(1), 0
    for number, part in enumerate(whole.parts(ranks)):
        if not len(part):
            continue
        one = alone[number % ranks]
        loss, found = one.gradients(x, y, rows=part.rows, before=before)
        counts = (y[part.rows] != -100).sum() / (y[rows] != -100).sum()
        losses.append(counts * loss)
        gradient = gradient + counts * found.flat
        before += len(part)
        examples[number % ranks] += len(part)
    shares = list(zip(examples, alone, strict=True))
    expected = {name: sum(n * one.state[name] for n, one in shares) / 87 for name in network.state}
    found.flat[:] = gradient
    network.apply_gradients(found)
    expected |= network.parameters
    first, *others = together(ranks, each)
    assert first[0] == {"loss": pytest.approx(sum(losses), rel=1e-5)}
    for name, array in first[1].items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-5, atol=1e-7)
        assert all(array.tobytes() == other[1][name].tobytes() for other in others)


def test_who_has_no_example_leaves_all_as_it_is(everything: ModuleType) -> None:
    """More ranks than examples: what does not change, keeps its bits; NaN in none of it."""
    x, y = batch(everything, 2)

    def each(share: Share) -> tuple[dict[str, float], bytes]:
        network = everything.Network(seed=3)
        values = update(network, Batch(x, y), ModelInterface.of_module(everything), share)
        return values, b"".join(array.tobytes() for array in network.parameters.values())

    found = together(5, each)
    assert found == [found[0]] * 5 and np.isfinite(found[0][0]["loss"])


def test_a_batch_that_does_not_fit_is_refused(everything: ModuleType) -> None:
    x, y = batch(everything, 3)
    with pytest.raises(ValueError, match="the batch is empty"):
        together(2, lambda share: everything.Network().gradients(x[:0], y[:0], share=share))
    with pytest.raises(ValueError, match="expected as many labels"):
        together(1, lambda share: everything.Network().gradients(x, y[:2], share=share))


def test_every_kind_of_exchange_is_in_it(path: Path) -> None:
    """For a named machine; and what a phase exchanges, nothing in the same phase has read."""
    module = compile_to_source(load_model(path), TARGETS["x86-64-v3"], "float32", "digest").module
    exchanges = exchanges_of(module.training)
    assert {pointer.tensor for e in exchanges for pointer in e.results} == {"dense_1.kernel.cotangent"}
    assert sum(bool(e.sums) for e in exchanges) >= 2
    late = [(n, wanted) for n, e in enumerate(exchanges) for wanted in e.wanted if wanted > n + 1]
    assert late, "gradients of the last layers travel behind the phases of the first"
    for phase, exchange in zip(module.training.phases, exchanges, strict=True):
        summed = {pointer.tensor for pointer in exchange.results}
        calls = [*(step.call for step in phase.before), *(phase.tiles.calls if phase.tiles else ())]
        for call in calls:
            pairs = zip(call.kernel.buffers, call.pointers, strict=True)
            assert not summed & {p.tensor for b, p in pairs if not b.written}


def test_more_than_there_are_lanes_are_refused(everything: ModuleType) -> None:
    x, y = batch(everything, 20)
    with pytest.raises(ValueError, match="at most 8 processes can add up in order, found 9"):
        together(9, lambda share: everything.Network().gradients(x, y, share=share))
