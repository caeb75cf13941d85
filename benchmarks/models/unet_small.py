"""A U-Net on 64 × 64 images: 16, 32 and 64 channels, and at each pixel the probability of a foreground.

Ronneberger et al., "U-Net: convolutional networks for biomedical image segmentation" (MICCAI 2015), with
"same" padding and two levels.
"""

from chainrule import (
    Adam,
    BinaryCrossEntropy,
    Concatenate,
    Conv2D,
    Conv2DTranspose,
    Input,
    MaxPool2D,
    Model,
    Sigmoid,
)


def pair(x, channels):
    """Two convolutions."""
    x = Conv2D(channels, 3, padding="same", activation="relu")(x)
    return Conv2D(channels, 3, padding="same", activation="relu")(x)


def up(x, skip, channels):
    """Twice as large, and what was there before it was made smaller beside it."""
    return pair(Concatenate()(skip, Conv2DTranspose(channels, 2, stride=2)(x)), channels)


x = Input(64, 64, 1)
first = pair(x, 16)
second = pair(MaxPool2D(2)(first), 32)
h = up(pair(MaxPool2D(2)(second), 64), second, 32)
model = Model(x, Sigmoid()(Conv2D(1, 1)(up(h, first, 16))), loss=BinaryCrossEntropy(), optimizer=Adam(1e-3))
