"""ResNet-8 of the MLPerf Tiny benchmark (Banbury et al., 2021) for 32 × 32 colour images of ten classes.

He et al., "Deep residual learning for image recognition" (CVPR 2016), with one residual block for each of
three stages of 16, 32 and 64 channels.
"""

from chainrule import (
    Adam,
    BatchNormalization,
    Conv2D,
    CrossEntropy,
    Dense,
    GlobalAveragePooling2D,
    HeNormal,
    Input,
    Model,
    ReLU,
    Softmax,
)


def convolution(x, filters, size=3, stride=1):
    """A convolution without bias, normalised: beta of the normalisation is its bias."""
    h = Conv2D(filters, size, stride=stride, padding="same", use_bias=False, kernel_initializer=HeNormal())(x)
    return BatchNormalization()(h)


def stage(x, filters, stride):
    """Two convolutions beside a shortcut, which is a 1 × 1 convolution where the shape changes."""
    h = ReLU()(convolution(x, filters, stride=stride))
    h = convolution(h, filters)
    shortcut = x if stride == 1 else Conv2D(filters, 1, stride=stride, kernel_initializer=HeNormal())(x)
    return ReLU()(h + shortcut)


def resnet8(x, widths=(16, 32, 64)):
    """Class probabilities (10,) of an image (height, width, channels)."""
    h = ReLU()(convolution(x, widths[0]))
    for number, filters in enumerate(widths):
        h = stage(h, filters, stride=1 if number == 0 else 2)
    return Softmax()(Dense(10)(GlobalAveragePooling2D()(h)))


x = Input(32, 32, 3)

model = Model(x, resnet8(x), loss=CrossEntropy(), optimizer=Adam(1e-3))
