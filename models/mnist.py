"""The MNIST convolutional network."""

from chainrule import (
    Adam,
    Conv2D,
    CrossEntropy,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPool2D,
    ReLU,
    Sequential,
    Softmax,
)

model = Sequential(
    [
        Input(28, 28, 1),
        Conv2D(32, 3),
        ReLU(),
        MaxPool2D(2),
        Conv2D(64, 3),
        ReLU(),
        MaxPool2D(2),
        Flatten(),
        Dropout(0.5),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
