"""Three convolutions along 256 steps of 6 sensors, each normalised over the batch, and their average.

Wang et al., "Time series classification from scratch with deep neural networks" (IJCNN 2017), with odd sizes
of kernels and as many channels as there.
"""

from chainrule import (
    Adam,
    BatchNormalization,
    Conv1D,
    CrossEntropy,
    Dense,
    GlobalAveragePooling1D,
    Input,
    ReLU,
    Sequential,
    Softmax,
)


def convolution(filters, size):
    """The layers of one part."""
    return [Conv1D(filters, size, padding="same", use_bias=False), BatchNormalization(), ReLU()]


model = Sequential(
    [
        Input(256, 6),
        *convolution(64, 7),
        *convolution(128, 5),
        *convolution(128, 3),
        GlobalAveragePooling1D(),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
