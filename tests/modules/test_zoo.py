"""Every layer, loss and optimizer in a compiled module: the loss falls, and an update is the formula's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import compiler
from compiler.frontend.lower import lower
from compiler.frontend.lowered import OptimizerSpec
from compiler.frontend.parse import load_model
from compiler.ir.module.entry_point import Role
from compiler.ir.tensor.interpreter import run
from compiler.language.layers import Layer
from compiler.toolchain.compile_file import Options
from tests.workshop import compile_quickly, import_module

EXAMPLES = 96
STEPS = 60

Data = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Net:
    """A model's text, data that it can learn, and how far the loss must fall: to `share` of what it was."""

    text: str
    data: Data
    share: float = 0.7


def branches(shape: str, layers: list[str], end: str, loss: str, optimizer: str) -> str:
    """A model whose branches, one for each of `layers`, meet before its end."""
    lines = ["from compiler import *", "", f"x = Input({shape})", "parts = ["]
    lines += [f"    {layer}," for layer in layers]
    lines += ["]", "h = Concatenate()([Flatten()(part) for part in parts])", f"y = {end}"]
    lines.append(f"model = Model(x, y, loss={loss}, optimizer={optimizer})")
    return "\n".join(lines) + "\n"


def dense(end: str, loss: str, optimizer: str, hidden: str = "Dense(12, activation='tanh')") -> str:
    """A model of a hidden layer and an end."""
    layers = f"Input(6), {hidden}, {end}"
    return f"from compiler import *\n\nmodel = Sequential([{layers}], loss={loss}, optimizer={optimizer})\n"


ACTIVATIONS = (
    *("ReLU()", "LeakyReLU()", "PReLU()", "ELU()", "SELU()", "GELU()", "GELU(approximate=True)", "SiLU()"),
    *(
        "Softplus()",
        "Mish()",
        "Sigmoid()",
        "HardSigmoid()",
        "HardSwish()",
        "Tanh()",
        "Softmax()",
        "LogSoftmax()",
    ),
)

VECTORS = (
    "Multiply()(Subtract()(Dense(4)(x), Dense(4)(x)), WeightNormalization(Dense(4))(x))",
    "Maximum()(Minimum()(Dense(4)(x), Dense(4)(x)), Average()(Dense(4)(x), Dense(4)(x)))",
    "Dot(normalize=True)(Dense(4)(x), Dense(4)(x))",
    "RepeatVector(2)(GaussianNoise(0.1)(AlphaDropout(0.1)(x)))",
    "Derivative(2)(Dense(4, activation='tanh')(x), x)",
)

IMAGES = (
    "Conv2D(4, 3, groups=2, activation='gelu')(x)",
    "SeparableConv2D(3, 3, padding='same', activation='silu')(x)",
    "DepthwiseConv2D(3, stride=2, activation='hard_swish')(x)",
    "Cropping2D(2)(Conv2DTranspose(2, 3, stride=2, padding='same', activation='elu')(x))",
    "MaxPool2D(4)(UpSampling2D(2)(x))",
    "AveragePooling2D(4)(UpSampling2D(2, interpolation='bilinear')(x))",
    "GlobalMaxPool2D()(ZeroPadding2D(1)(Conv2D(3, 1)(x)))",
    "GlobalAveragePooling2D()(GroupNormalization(2)(x))",
    "LayerNormalization()(Conv2D(3, 3, stride=3)(x))",
    "BatchNormalization()(Conv2D(3, 3, stride=3)(x))",
    "Rescaling(0.5, 0.1)(Dropout(0.2)(MaxPool2D(3)(x)))",
    "MaxPool2D(6)(PixelShuffle(2)(SpatialDropout2D(0.2)(Conv2D(4, 1)(x))))",
)

SEQUENCES = (
    "Conv1D(4, 3, padding='causal', dilation=2, activation='relu')(x)",
    "MaxPool1D(2)(Conv1D(4, 3, groups=2)(x))",
    "AveragePooling1D(3, 2, 'same')(x)",
    "Cropping1D(3)(Conv1DTranspose(2, 3, stride=2)(x))",
    "ZeroPadding1D(1)(UpSampling1D(2)(x))",
    "Permute(2, 1)(RMSNormalization()(x))",
    "GlobalMaxPool1D()(x)",
    "GlobalAveragePooling1D()(Reshape(6, 8)(x))",
    "Add()(LayerNormalization()(x), x)",
    "SpatialDropout1D(0.1)(TimeDistributed(Dense(2))(InstanceNormalization()(x)))",
    # Volumes, made of the sequence.
    "MaxPool3D(2)(SpatialDropout3D(0.1)(Conv3D(2, 2)(Reshape(4, 4, 3, 1)(x))))",
    "AveragePooling3D((2, 2, 1))(Reshape(4, 4, 3, 1)(x))",
    "GlobalMaxPool3D()(Reshape(2, 4, 2, 3)(x))",
    "GlobalAveragePooling3D()(Reshape(2, 4, 2, 3)(x))",
)


def _classes(shape: tuple[int, ...], number: int, one_hot: bool = False) -> Data:
    """Which of some random directions an example points in most."""

    def draw(rng):
        x = rng.normal(size=(EXAMPLES, *shape)).astype(np.float32)
        labels = (x.reshape(EXAMPLES, -1) @ rng.normal(size=(int(np.prod(shape)), number))).argmax(1)
        return x, np.eye(number, dtype=np.float32)[labels] if one_hot else labels

    return draw


def _numbers(shape: tuple[int, ...], change: Callable = lambda values: values, size: int = 1) -> Data:
    """A linear function of the example, changed element by element."""

    def draw(rng):
        x = rng.normal(size=(EXAMPLES, *shape)).astype(np.float32)
        values = x.reshape(EXAMPLES, -1) @ rng.normal(size=(int(np.prod(shape)), size))
        return x, change(values / values.std()).astype(np.float32)

    return draw


def _distribution(values: np.ndarray) -> np.ndarray:
    powers = np.exp(values)
    return powers / powers.sum(axis=1, keepdims=True)


def _is_positive(values: np.ndarray) -> np.ndarray:
    return (values > 0).astype(np.float32)


NETS = {
    "activations": Net(
        branches(
            "6",
            [*(f"{layer}(Dense(4)(x))" for layer in ACTIVATIONS), *VECTORS],
            "Dense(3)(h)",
            "CrossEntropy(from_logits=True)",
            "AdamW(CosineDecay(1e-2, 200))",
        ),
        _classes((6,), 3),
    ),
    "images": Net(
        branches(
            "9, 9, 2",
            list(IMAGES),
            "Sigmoid()(Dense(1)(h))",
            "BinaryCrossEntropy()",
            "RMSprop(1e-3, momentum=0.5, centered=True)",
        ),
        _numbers((9, 9, 2), _is_positive),
    ),
    "sequences": Net(
        branches("12, 4", list(SEQUENCES), "Dense(1)(h)", "Huber()", "Lion(2e-3, global_clipnorm=1.0)"),
        _numbers((12, 4)),
    ),
    "smoothed": Net(
        dense(
            "Dense(3), Softmax()",
            "CrossEntropy(label_smoothing=0.1, one_hot=True)",
            "Nadam(1e-2)",
        ),
        _classes((6,), 3, one_hot=True),
    ),
    "divergence": Net(
        dense("Dense(3), Softmax()", "KLDivergence()", "Adagrad(0.1)"),
        _numbers((6,), _distribution, 3),
    ),
    "absolute": Net(
        dense("Dense(1)", "MeanAbsoluteError()", "SGD(0.05, clipvalue=0.1)"),
        _numbers((6,)),
    ),
    "log_cosh": Net(
        dense("Dense(1)", "LogCosh()", "SGD(0.1, 0.9, nesterov=True, global_clipnorm=0.5)"), _numbers((6,))
    ),
    "logits": Net(
        dense(
            "Dense(1)",
            "BinaryCrossEntropy(from_logits=True, label_smoothing=0.05)",
            "Adafactor(1e-2)",
        ),
        _numbers((6,), _is_positive),
    ),
    "hinge": Net(
        dense(
            "Dense(1, kernel_constraint=MinMaxNorm(0.5, 2.0))",
            "Hinge()",
            "LAMB(WarmUp(2e-2, 10), weight_decay=1e-3, clipnorm=1.0)",
            "Dense(6, kernel_constraint=UnitNorm(), bias_constraint=NonNegative()), "
            "Dense(6, activation='tanh', kernel_constraint=MaxNorm(1.0))",
        ),
        _numbers((6,), np.sign),
    ),
    "categorical_hinge": Net(
        dense("Dense(3)", "CategoricalHinge()", "Adam(1e-2, global_clipnorm=0.1)"),
        _classes((6,), 3, one_hot=True),
    ),
    "squared": Net(dense("Dense(1)", "MeanSquaredError()", "Adamax(1e-2, clipvalue=0.1)"), _numbers((6,))),
}


ORDINARY = ("hinge", "logits")
"""What `make test` builds: constraints, an update of all parameters at once and one of each. Layers and
losses are on every rung in tests/derive, their functions in C in tests/derive/test_stability.py."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name not in ORDINARY)) for name in NETS]
)
def test_trains(name: str, workshop: Path, tmp_path: Path) -> None:
    net, path = NETS[name], tmp_path / f"{name}.py"
    path.write_text(net.text)
    network = import_module(compile_quickly(path, Options(tmp_path, target="scalar")).module).Network(seed=0)
    x, y = net.data(np.random.default_rng(0))
    spec = lower(load_model(path)).optimizer
    for _ in range(2):
        check_update(network, spec, x, y)
    losses = [network.train_step(x, y) for _ in range(STEPS)]
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < net.share * losses[0], losses[:: STEPS // 6]


def check_update(network, spec: OptimizerSpec, x: np.ndarray, y: np.ndarray) -> None:
    """One step of training: the update formula on the module's own gradient, of all parameters or of each."""
    _, gradients = network.value_and_grad(x, y)

    def held(role: Role) -> np.ndarray | float:
        names = list(network.parameters) if spec.flat else [role.part or role.of]
        if role.use == "slot":
            return _flat(network.optimizer_state, [f"{role.of}/{name}" for name in names])
        if role.use in ("rate", "step"):
            return network.learning_rate if role.use == "rate" else network.step + 1
        return _flat(gradients if role.use in ("gradient", "gradients") else network.parameters, names)

    given = {tensor.name: held(spec.roles[tensor.name]) for tensor in spec.update.inputs}
    expected = run(spec.update, given)
    before = {spec.roles[name]: value for name, value in given.items()}
    network.train_step(x, y)
    for name in spec.update.outputs:
        role = spec.roles[name]
        if role.use in ("parameter", "parameters"):
            moved = np.abs(expected[name] - before[role]).max()
            assert np.abs(held(role) - expected[name]).max() < 1e-4 * moved + 1e-6, role


def _flat(values, names: list[str]) -> np.ndarray:
    return np.concatenate([np.ravel(np.array(values[name], dtype=np.float64)) for name in names])


def test_nothing_is_left_out() -> None:
    """Each layer, loss, optimizer and constraint that a model file can import stands in a net."""
    text = "".join(net.text for net in NETS.values())
    kinds = (Layer, compiler.Loss, compiler.Optimizer, compiler.Constraint)
    for name in compiler.__all__:
        kind = getattr(compiler, name)
        if isinstance(kind, type) and issubclass(kind, kinds):
            assert f"{name}(" in text or name in ELSEWHERE, name


ELSEWHERE = (
    *("Layer", "Loss", "Optimizer", "Constraint", "Formula", "FormulaLoss", "Pointwise"),
    *("Embedding", "GRU", "LSTM", "MultiHeadAttention", "PositionEmbedding", "PositionalEncoding"),
    *("Recurrent", "SimpleRNN", "Bidirectional", "Unembedding", "Masking", "Unmasked"),
)
"""Bases, formulas of a model file, and what test_trained_models, test_parameters and test_masks hold."""
