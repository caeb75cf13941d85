"""What is measured: the models, layer by layer, and the cases: a model, its step or its prediction, a batch.

Every peer builds a model from the same list of layers, each in its framework's own way. chainrule compiles
the model file named here, which describes the same network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Conv:
    """A square convolution, channels last in the description."""

    filters: int
    size: int
    padding: Literal["valid", "same"] = "valid"
    stride: int = 1
    bias: bool = True


@dataclass(frozen=True)
class Dense:
    units: int


@dataclass(frozen=True)
class Pool:
    """Non-overlapping square windows; what does not fill a window is dropped."""

    size: int
    kind: Literal["max", "average"] = "max"


@dataclass(frozen=True)
class Activation:
    kind: Literal["relu", "tanh"] = "relu"


@dataclass(frozen=True)
class Dropout:
    rate: float


@dataclass(frozen=True)
class BatchNorm:
    """Statistics over batch and image, momentum 0.99, ε = 0.001, with scale and offset."""


@dataclass(frozen=True)
class Flatten:
    pass


@dataclass(frozen=True)
class GlobalAverage:
    pass


@dataclass(frozen=True)
class Residual:
    """The sum of two paths; an empty shortcut is the input itself."""

    main: tuple[Layer, ...]
    shortcut: tuple[Layer, ...] = ()


Layer = Conv | Dense | Pool | Activation | Dropout | BatchNorm | Flatten | GlobalAverage | Residual


@dataclass(frozen=True)
class Workload:
    """A classifier of ten classes: layers up to the logits; softmax, cross-entropy and Adam(1e-3) follow."""

    name: str
    description: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    model_file: str
    """Of chainrule, from the root of the checkout; the module has the file's name."""


RELU, TANH = Activation("relu"), Activation("tanh")


def _stage(filters: int, stride: int) -> tuple[Layer, ...]:
    main = (
        Conv(filters, 3, "same", stride, bias=False),
        BatchNorm(),
        RELU,
        Conv(filters, 3, "same", bias=False),
        BatchNorm(),
    )
    return (Residual(main, () if stride == 1 else (Conv(filters, 1, "same", stride),)), RELU)


def _lenet(activation: Activation, pool: Literal["max", "average"]) -> tuple[Layer, ...]:
    convolutions = (
        *(Conv(6, 5, "same"), activation, Pool(2, pool)),
        *(Conv(16, 5), activation, Pool(2, pool)),
    )
    return (*convolutions, Flatten(), Dense(120), activation, Dense(84), activation, Dense(10))


WORKLOADS = {
    workload.name: workload
    for workload in (
        Workload(
            "mnist_cnn",
            "two 3×3 convolutions of 32 and 64 channels, each with ReLU and a 2×2 max pool; dropout 0.5, "
            "Dense 10",
            (28, 28, 1),
            (
                *(Conv(32, 3), RELU, Pool(2)),
                *(Conv(64, 3), RELU, Pool(2)),
                Flatten(),
                Dropout(0.5),
                Dense(10),
            ),
            "models/mnist.py",
        ),
        Workload(
            "lenet5",
            "two 5×5 convolutions of 6 and 16 channels, tanh, 2×2 average pools; Dense 120, 84, 10",
            (28, 28, 1),
            _lenet(TANH, "average"),
            "models/lenet5.py",
        ),
        Workload(
            "lenet5_relu",
            "the same with ReLU and max pools",
            (28, 28, 1),
            _lenet(RELU, "max"),
            "benchmarks/models/lenet5_relu.py",
        ),
        Workload(
            "mlp_512",
            "Dense 512, 512, 10 with ReLU on 784 pixels",
            (784,),
            (Dense(512), RELU, Dense(512), RELU, Dense(10)),
            "benchmarks/models/mlp_512.py",
        ),
        Workload(
            "mlp_2048",
            "Dense 2048, 2048, 10 with ReLU on 784 pixels: 23 MB of weights",
            (784,),
            (Dense(2048), RELU, Dense(2048), RELU, Dense(10)),
            "benchmarks/models/mlp_2048.py",
        ),
        Workload(
            "vgg_small",
            "two 32-channel and two 64-channel 3×3 'same' convolutions with ReLU, a 2×2 max pool after each "
            "pair; Dense 128, Dense 10; 32×32×3",
            (32, 32, 3),
            (
                *(Conv(32, 3, "same"), RELU, Conv(32, 3, "same"), RELU, Pool(2)),
                *(Conv(64, 3, "same"), RELU, Conv(64, 3, "same"), RELU, Pool(2)),
                *(Flatten(), Dense(128), RELU, Dense(10)),
            ),
            "benchmarks/models/vgg_small.py",
        ),
        Workload(
            "resnet8",
            "ResNet-8 with batch normalisation: stages of 16, 32 and 64 channels; 32×32×3",
            (32, 32, 3),
            (
                *(Conv(16, 3, "same", bias=False), BatchNorm(), RELU),
                *(*_stage(16, 1), *_stage(32, 2), *_stage(64, 2), GlobalAverage(), Dense(10)),
            ),
            "models/resnet8.py",
        ),
    )
}


@dataclass(frozen=True)
class Case:
    """One section of the results: a workload, what is timed, and how many examples at once."""

    workload: str
    mode: Literal["train", "predict"]
    batch: int

    @property
    def name(self) -> str:
        """How the command line calls it, such as `mnist_cnn/train/128`."""
        return f"{self.workload}/{self.mode}/{self.batch}"

    @property
    def title(self) -> str:
        what = "training step" if self.mode == "train" else "prediction"
        return f"{self.workload}: {what}, batch {self.batch:,}"


CASES = {
    case.name: case
    for case in (
        Case("mnist_cnn", "train", 128),
        Case("mnist_cnn", "train", 32),
        Case("mnist_cnn", "train", 1024),
        Case("lenet5", "train", 128),
        Case("lenet5_relu", "train", 128),
        Case("mlp_512", "train", 128),
        Case("mlp_2048", "train", 128),
        Case("vgg_small", "train", 128),
        Case("resnet8", "train", 128),
        Case("mnist_cnn", "predict", 1),
        Case("mnist_cnn", "predict", 1024),
    )
}


def parse_case(text: str) -> Case:
    """A case of the table, or another batch of a known model. Raises ValueError for anything else."""
    if text in CASES:
        return CASES[text]
    workload, _, rest = text.partition("/")
    mode, _, batch = rest.partition("/")
    if workload not in WORKLOADS or mode not in ("train", "predict") or not batch.isdigit() or not int(batch):
        raise ValueError(
            f"{text}: expected MODEL/train/BATCH or MODEL/predict/BATCH, such as {next(iter(CASES))}"
        )
    return Case(workload, mode, int(batch))


def needed_files(cases: Iterable[Case]) -> list[str]:
    """The model files to compile for these cases, each once."""
    return list(dict.fromkeys(WORKLOADS[case.workload].model_file for case in cases))
