"""ResNet-110 for 32 × 32 colour images of ten classes: three stages of eighteen residual blocks.

He et al., "Deep residual learning for image recognition" (CVPR 2016), section 4.2.
"""

from chainrule import (
    Adam,
    BatchNormalization,
    Conv2D,
    CrossEntropy,
    Dense,
    GlobalAveragePooling2D,
    Input,
    Model,
    ReLU,
    Softmax,
)


def convolution(x, filters, stride=1):
    """A convolution without bias, normalised: beta of the normalisation is its bias."""
    h = Conv2D(filters, 3, stride=stride, padding="same", use_bias=False)(x)
    return BatchNormalization()(h)


def block(x, filters, stride):
    """Two convolutions beside a shortcut, which is a 1 × 1 convolution where the shape changes."""
    h = convolution(ReLU()(convolution(x, filters, stride)), filters)
    shortcut = x if stride == 1 else Conv2D(filters, 1, stride=stride)(x)
    return ReLU()(h + shortcut)


x = Input(32, 32, 3)
h = ReLU()(convolution(x, 16))
for filters in (16, 32, 64):
    for number in range(18):
        h = block(h, filters, 2 if number == 0 and filters > 16 else 1)

model = Model(x, Softmax()(Dense(10)(GlobalAveragePooling2D()(h))), loss=CrossEntropy(), optimizer=Adam(1e-3))
