"""A layer written by hand and the built-in layer give the same generated code, so the same speed."""

from __future__ import annotations

from compiler import (
    Adam,
    Conv2D,
    CrossEntropy,
    Dense,
    DepthwiseConv2D,
    Flatten,
    Formula,
    GlorotUniform,
    Input,
    Layer,
    MaxPool2D,
    Pointwise,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
    Zeros,
    exp,
    maximum,
)
from compiler.machine.target import Target
from compiler.module_source import compile_to_source
from tests.machines import targets

START = {"kernel": GlorotUniform(), "bias": Zeros()}


def by_hand() -> list[Layer]:
    return [
        Formula(
            "y[b, h, w, o] = sum[p, q, c](kernel[p, q, c, o] * x[b, 2*h + p, w + 2*q, c]) + bias[o]",
            sizes={"p": 3, "q": 3, "o": 24},
            parameters=START,
            name="wide",
        ),
        Pointwise(lambda x: maximum(x, 0), name="relu"),
        Formula(
            """
            y[b, h, w, o] = bias[o] + sum[p, q, c](
                kernel[p, q, c, o] * pad(x, 0)[b, h + p - 1, w + q - 1, c]
            )
            """,
            sizes={"p": 3, "q": 3, "o": 16, "h": 13, "w": 24},
            parameters=START,
            name="same",
        ),
        Formula("y[b, h, w, c] = max[p:2, q:2](x[b, 2*h + p, 2*w + q, c])", name="pool"),
        Formula(
            "y[b, h, w, c] = sum[p, q](kernel[p, q, c, 0] * x[b, h + p, w + q, c]) + bias[c]",
            sizes={"p": 3, "q": 3},
            parameters=START,
            name="each",
        ),
        Pointwise(lambda x: 1 / (1 + exp(-x)), name="sigmoid"),
        Formula("y[b, ravel(h, w, c)] = x[b, h, w, c]", name="flat"),
        Formula(
            "y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]",
            sizes={"o": 10},
            parameters=START,
            name="last",
        ),
        Formula("y[b, c] = exp(x[b, c]) / sum[k](exp(x[b, k]))", name="softmax"),
    ]


def built_in() -> list[Layer]:
    return [
        Conv2D(24, 3, stride=(2, 1), dilation=(1, 2), name="wide"),
        ReLU(name="relu"),
        Conv2D(16, 3, padding="same", name="same"),
        MaxPool2D(2, name="pool"),
        DepthwiseConv2D(3, name="each"),
        Sigmoid(name="sigmoid"),
        Flatten(name="flat"),
        Dense(10, name="last"),
        Softmax(name="softmax"),
    ]


def generated(layers: list[Layer], target: Target) -> str:
    model = Sequential([Input(28, 28, 1), *layers], loss=CrossEntropy(), optimizer=Adam(), name="model")
    return compile_to_source(model, target, "float32", "digest").text


@targets(1)
def test_the_generated_code_is_the_same(target: Target) -> None:
    ours, theirs = generated(by_hand(), target), generated(built_in(), target)
    assert "register tile" in ours
    assert ours == theirs
