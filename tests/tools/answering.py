"""How long `chainrule derive` takes to answer for each kind of layer: `python -m tests.tools.answering`.

Each formula is asked in a process of its own, as a person asks it, imports included, and its processor time
is printed, the slowest last. On a busy machine it says little; the smallest of several is the one that was
disturbed least. Python writes its bytecode first, as it does for everybody who does not forbid it.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence

from compiler.language import layers, losses
from compiler.language.layers import Forward
from compiler.language.losses import LossForward

TIMES = 3
IMAGE, SEQUENCE, ROW, VOLUME = (11, 9, 2), (5, 4), (6,), (5, 6, 4, 2)
ASKED = (
    *((layer, ROW) for layer in (layers.Dense(4), layers.Softmax(), layers.LogSoftmax(), layers.PReLU())),
    *((layer, ROW) for layer in (layers.ReLU(), layers.LeakyReLU(), layers.ELU(), layers.SELU())),
    *((layer, ROW) for layer in (layers.GELU(), layers.GELU(approximate=True), layers.Mish())),
    *((layer, ROW) for layer in (layers.SiLU(), layers.Softplus(), layers.Sigmoid(), layers.Tanh())),
    *((layer, ROW) for layer in (layers.HardSigmoid(), layers.HardSwish(), layers.Rescaling(2.0, 1.0))),
    *((layer, ROW) for layer in (layers.BatchNormalization(), layers.LayerNormalization())),
    *((layer, ROW) for layer in (layers.RMSNormalization(), layers.Dropout(0.5), layers.GaussianNoise(0.1))),
    *((layer, IMAGE) for layer in (layers.Conv2D(3, 3), layers.Conv2D(3, 3, padding="same"))),
    *((layer, IMAGE) for layer in (layers.DepthwiseConv2D(3), layers.SeparableConv2D(3, 3))),
    *((layer, IMAGE) for layer in (layers.Conv2DTranspose(3, 3, 2), layers.MaxPool2D(2))),
    *((layer, IMAGE) for layer in (layers.AveragePooling2D(2), layers.GlobalAveragePooling2D())),
    *((layer, IMAGE) for layer in (layers.GlobalMaxPool2D(), layers.UpSampling2D(2))),
    *((layer, IMAGE) for layer in (layers.GroupNormalization(2), layers.InstanceNormalization())),
    *((layer, SEQUENCE) for layer in (layers.Conv1D(3, 3), layers.MaxPool1D(2), layers.SimpleRNN(3))),
    *((layer, SEQUENCE) for layer in (layers.LSTM(3), layers.GRU(3), layers.MultiHeadAttention(2, 3))),
    *((layer, VOLUME) for layer in (layers.Conv3D(3, 2), layers.MaxPool3D(2), layers.AveragePooling3D(2))),
    *((loss, ROW) for loss in (losses.CrossEntropy(), losses.BinaryCrossEntropy())),
    *((loss, ROW) for loss in (losses.MeanSquaredError(), losses.MeanAbsoluteError(), losses.Huber())),
    *((loss, ROW) for loss in (losses.LogCosh(), losses.KLDivergence(), losses.Hinge())),
)
"""Layers and losses, each with the shape of what it is given."""


def questions() -> Iterator[tuple[str, list[str]]]:
    """(the name of a layer, what a person would type to ask for its derivatives)."""
    yield "(3x + 2)²", ["y = (3x + 2)²"]
    for asked, shape in ASKED:
        forward = asked.forward(shape)
        yield type(asked).__name__, [typed(forward), "--sizes", sizes(forward)]


def sizes(forward: Forward | LossForward) -> str:
    """How far the axes of the layer's parameters go."""
    found: dict[str, int] = {}
    for name, parameter in forward.parameters.items() if isinstance(forward, Forward) else ():
        read = re.search(rf"\b{name}\[([\w, ]*)\]", forward.formula)
        if read and parameter.shape:
            found |= zip(read[1].split(", "), parameter.shape, strict=True)
    return ",".join(f"{axis}={size}" for axis, size in found.items())


def typed(forward: Forward | LossForward) -> str:
    """The formula of one layer with its constants as numbers, and without what it does to its states."""
    text = forward.formula
    for name, value in forward.constants.items():
        text = re.sub(rf"\b{name}\b", f"({value!r})" if value < 0 else repr(value), text)
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith("new_"))


def seconds(arguments: Sequence[str]) -> float:
    """Processor time of the command in a new process. Raises CalledProcessError where it fails."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "chainrule", *arguments]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a line for each kind of layer."""
    seconds(["derive", "y = x"])
    found = [
        (min(seconds(["derive", *arguments]) for _ in range(TIMES)), name) for name, arguments in questions()
    ]
    for time, name in sorted(found):
        print(f"{time:6.2f} s  {name}")


if __name__ == "__main__":
    main()
