"""A small residual network: 'same' and strided convolutions, two shortcuts, and a Concatenate."""

from chainrule import (
    Adam,
    AveragePooling2D,
    Concatenate,
    Conv2D,
    CrossEntropy,
    Dense,
    GlobalAveragePooling2D,
    Input,
    MaxPool2D,
    Model,
    ReLU,
    Softmax,
)


def residual(x, filters, stride=1):
    """Two convolutions beside a shortcut, which is a 1 × 1 convolution where the shape changes."""
    h = Conv2D(filters, 3, stride=stride, padding="same", activation="relu")(x)
    h = Conv2D(filters, 3, padding="same")(h)
    shortcut = x if stride == 1 else Conv2D(filters, 1, stride=stride, use_bias=False)(x)
    return ReLU()(h + shortcut)


x = Input(28, 28, 1)
h = Conv2D(8, 3, padding="same", activation="relu")(x)
h = residual(h, 8)
h = residual(h, 16, stride=2)
h = Concatenate()(MaxPool2D(2)(h), AveragePooling2D(2)(h))
h = residual(h, 32)
y = Softmax()(Dense(10)(GlobalAveragePooling2D()(h)))

model = Model(x, y, loss=CrossEntropy(), optimizer=Adam(1e-3))
