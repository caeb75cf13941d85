"""A network large enough that kernels are updated in the registers of their gradients: the bits of halves."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from compiler.toolchain.compile_file import Options, compile_file
from tests.workshop import import_module

pytestmark = pytest.mark.long
MODEL = """from compiler import Adam, CrossEntropy, Dense, Input, ReLU, Sequential, Softmax

model = Sequential(
    [Input(1400), Dense(1500), ReLU(), Dense(10), Softmax()], loss=CrossEntropy(), optimizer=Adam(1e-3)
)
"""


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    folder = tmp_path_factory.mktemp("large")
    path: Path = folder / "large.py"
    path.write_text(MODEL)
    built = import_module(compile_file(path, Options(folder / "generated")).module)
    assert "training_step(&context" in (folder / "generated" / "large.pyx").read_text()
    return built


@pytest.mark.parametrize("batch", [1, 5, 128, 300, 1100])
def test_a_step_is_its_halves(module: ModuleType, batch: int) -> None:
    """To the bit, for batches in panels of one block and of several, and without panels; on two threads too.
    What is frozen stays."""
    one, two = (module.Network(seed=1, threads=threads) for threads in (2, 1))
    rng = np.random.default_rng(batch)
    for frozen in (False, False, True):
        if frozen:
            one.freeze("dense_1")
            kept = one.parameters["dense_1.kernel"].copy()
        x, y = rng.random((batch, 1400), np.float32), rng.integers(0, 10, batch)
        loss = one.train_step(x, y)
        again, gradients = two.gradients(x, y)
        assert loss == again
        if frozen:
            assert (one.parameters["dense_1.kernel"] == kept).all()
            break
        two.apply_gradients(gradients)
        for of in ("parameters", "optimizer_state"):
            found, wanted = getattr(one, of), getattr(two, of)
            assert all((found[name] == wanted[name]).all() for name in wanted)
    assert one.step == 3
