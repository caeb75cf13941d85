"""What is measured: the models, layer by layer.

Every peer builds a model from the same list of layers, each in its framework's own way. chainrule compiles
the model file named here, which describes the same network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from benchmarks.layers import (
    Activation,
    BatchNorm,
    Beside,
    CausalAttention,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Dropout,
    Embedding,
    Flatten,
    GlobalAverage,
    Layer,
    LayerNorm,
    Lstm,
    Pool,
    Positions,
    Reshape,
    Residual,
)

Labels = Literal["class", "next", "mask", "input"]
"""What a net is trained to say: the class of an example (ten of them); of each position a number of the
vocabulary; of each pixel whether it is foreground; the input itself. For the first two a softmax and the
cross-entropy follow the layers, for the others a sigmoid and the binary cross-entropy."""


@dataclass(frozen=True)
class Workload:
    """A net: layers up to what softmax or sigmoid are of; the loss and Adam(1e-3) follow."""

    name: str
    description: str
    input_shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    model_file: str
    """Of chainrule, from the root of the checkout; the module has the file's name."""
    labels: Labels = "class"
    vocabulary: int = 0
    """Of inputs that are whole numbers, below this one; 0: inputs are real numbers."""

    @property
    def is_image(self) -> bool:
        """Whether frameworks may lay an input out with its channels first or last."""
        return len(self.input_shape) == 3


RELU, TANH, GELU = Activation("relu"), Activation("tanh"), Activation("gelu")
VOCABULARY = 96


def _residual(filters: int, stride: int, widens: bool) -> tuple[Layer, ...]:
    main = (
        Conv(filters, 3, "same", stride, bias=False),
        BatchNorm(),
        RELU,
        Conv(filters, 3, "same", bias=False),
        BatchNorm(),
    )
    return (Residual(main, (Conv(filters, 1, "same", stride),) if widens else ()), RELU)


def _resnet(blocks: int) -> tuple[Layer, ...]:
    """Stages of 16, 32 and 64 channels, each of so many residual blocks."""
    layers: tuple[Layer, ...] = (Conv(16, 3, "same", bias=False), BatchNorm(), RELU)
    for filters in (16, 32, 64):
        for number in range(blocks):
            widens = number == 0 and filters > 16
            layers += _residual(filters, 2 if widens else 1, widens)
    return (*layers, GlobalAverage(), Dense(10))


def _lenet(
    activation: Activation, pool: Literal["max", "average"], padding: Literal["valid", "same"] = "same"
) -> tuple[Layer, ...]:
    convolutions = (
        *(Conv(6, 5, padding), activation, Pool(2, pool)),
        *(Conv(16, 5), activation, Pool(2, pool)),
    )
    return (*convolutions, Flatten(), Dense(120), activation, Dense(84), activation, Dense(10))


def _gpt(blocks: int, channels: int, heads: int) -> tuple[Layer, ...]:
    return _decoder(blocks, channels, heads, Positions(learned=True), 4, GELU)


def _decoder(
    blocks: int, channels: int, heads: int, positions: Positions, wider: int, activation: Activation
) -> tuple[Layer, ...]:
    """A transformer that looks back alone, with normalisation before each part."""
    attention = Residual((LayerNorm(), CausalAttention(heads)))
    layers = Residual((LayerNorm(), Dense(wider * channels), activation, Dense(channels)))
    block = (attention, layers)
    return (Embedding(VOCABULARY, channels), positions, *(block * blocks), LayerNorm(), Dense(VOCABULARY))


def _pair(filters: int) -> tuple[Layer, ...]:
    return (Conv(filters, 3, "same"), RELU, Conv(filters, 3, "same"), RELU)


def _unet(first: int, second: int, third: int) -> tuple[Layer, ...]:
    lowest = Beside((Pool(2), *_pair(third), ConvTranspose(second, 2, 2)))
    inside = (*_pair(second), lowest, *_pair(second))
    return (*_pair(first), Beside((Pool(2), *inside, ConvTranspose(first, 2, 2))), *_pair(first), Conv(1, 1))


def _separable(filters: int, stride: int = 1) -> tuple[Layer, ...]:
    return (
        *(DepthwiseConv(3, stride), BatchNorm(), RELU),
        *(Conv(filters, 1, bias=False), BatchNorm(), RELU),
    )


_AUTOENCODER = (
    *(Conv(8, 3, "same", 2), RELU, Conv(16, 3, "same", 2), RELU),
    *(Flatten(), Dense(32), Dense(7 * 7 * 16), RELU, Reshape((7, 7, 16))),
    *(ConvTranspose(8, 3, 2), RELU, ConvTranspose(1, 3, 2)),
)

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
            "lenet5_valid",
            "the same with ReLU, max pools and no padding, as SimpleChains measures it",
            (28, 28, 1),
            _lenet(RELU, "max", "valid"),
            "benchmarks/models/lenet5_valid.py",
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
            _resnet(1),
            "models/resnet8.py",
        ),
        Workload(
            "resnet20",
            "ResNet-20 with batch normalisation: stages of 16, 32 and 64 channels; 32×32×3",
            (32, 32, 3),
            _resnet(3),
            "benchmarks/models/resnet20.py",
        ),
        Workload(
            "mobilenet_small",
            "a 3×3 convolution of 8 channels, stride 2, and three separable ones of 16, 32 and 32 channels, "
            "each with batch normalisation and ReLU; average, Dense 10",
            (28, 28, 1),
            (
                *(Conv(8, 3, "same", 2, bias=False), BatchNorm(), RELU),
                *(*_separable(16), *_separable(32, 2), *_separable(32), GlobalAverage(), Dense(10)),
            ),
            "models/mobilenet_small.py",
        ),
        Workload(
            "autoencoder",
            "3×3 convolutions of 8 and 16 channels, stride 2, with ReLU; Dense 32, Dense 784; their "
            "transposes of 8 channels and 1",
            (28, 28, 1),
            _AUTOENCODER,
            "models/autoencoder.py",
            labels="input",
        ),
        Workload(
            "unet_small",
            "a U-Net of 16, 32 and 64 channels on 64×64×1",
            (64, 64, 1),
            _unet(16, 32, 64),
            "benchmarks/models/unet_small.py",
            labels="mask",
        ),
        Workload(
            "conv1d",
            "three convolutions of 64, 128 and 128 channels over 256×6, sizes 7, 5 and 3, each with batch "
            "normalisation and ReLU; average, Dense 10",
            (256, 6),
            (
                *(Conv(64, 7, "same", bias=False), BatchNorm(), RELU),
                *(Conv(128, 5, "same", bias=False), BatchNorm(), RELU),
                *(Conv(128, 3, "same", bias=False), BatchNorm(), RELU, GlobalAverage(), Dense(10)),
            ),
            "benchmarks/models/conv1d.py",
        ),
        Workload(
            "lstm",
            "an LSTM of 128 units over the 28 rows of an image, Dense 10",
            (28, 28),
            (Lstm(128), Dense(10)),
            "benchmarks/models/lstm_mnist.py",
        ),
        Workload(
            "transformer",
            "a Transformer of 2 blocks, width 48, 4 heads, 32 positions, 96 characters",
            (32,),
            _decoder(2, 48, 4, Positions(learned=False), 2, RELU),
            "models/transformer.py",
            labels="next",
            vocabulary=VOCABULARY,
        ),
        Workload(
            "gpt_small",
            "a GPT of 4 blocks, width 128, 4 heads, 64 positions, 96 characters",
            (64,),
            _gpt(4, 128, 4),
            "benchmarks/models/gpt_small.py",
            labels="next",
            vocabulary=VOCABULARY,
        ),
        Workload(
            "gpt_medium",
            "a GPT of 6 blocks, width 384, 6 heads, 128 positions, 96 characters",
            (128,),
            _gpt(6, 384, 6),
            "benchmarks/models/gpt_medium.py",
            labels="next",
            vocabulary=VOCABULARY,
        ),
    )
}
