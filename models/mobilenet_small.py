"""A small MobileNet (Howard et al., 2017): convolutions of each channel alone, then mixtures of channels."""

from chainrule import (
    Adam,
    BatchNormalization,
    Conv2D,
    CrossEntropy,
    Dense,
    DepthwiseConv2D,
    GlobalAveragePooling2D,
    Input,
    ReLU,
    Sequential,
    Softmax,
)


def separable(filters, stride=1):
    """The layers of one block: 3 × 3 within each channel, 1 × 1 across them, each normalised."""
    return [
        DepthwiseConv2D(3, stride=stride, padding="same", use_bias=False),
        BatchNormalization(momentum=0.9),
        ReLU(),
        Conv2D(filters, 1, use_bias=False),
        BatchNormalization(momentum=0.9),
        ReLU(),
    ]


model = Sequential(
    [
        Input(28, 28, 1),
        Conv2D(8, 3, stride=2, padding="same", use_bias=False),
        BatchNormalization(momentum=0.9),
        ReLU(),
        *separable(16),
        *separable(32, stride=2),
        *separable(32),
        GlobalAveragePooling2D(),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(5e-3),
)
