"""Two digits at once: what they add up to, and whether the left one is larger. Two inputs, two losses."""

from chainrule import (
    Accuracy,
    Adam,
    BinaryCrossEntropy,
    Concatenate,
    Conv2D,
    CrossEntropy,
    Dense,
    Flatten,
    Input,
    MaxPool2D,
    Model,
    Sigmoid,
    Softmax,
)

left, right = Input(28, 28, 1, name="left"), Input(28, 28, 1, name="right")
layers = [
    Conv2D(8, 3, activation="relu"),
    MaxPool2D(2),
    Conv2D(16, 3, activation="relu"),
    MaxPool2D(2),
    Flatten(),
]


def read(image):
    """What both images are read by: each layer is applied twice and has one set of parameters."""
    value = image
    for layer in layers:
        value = layer(value)
    return value


seen = Dense(64, activation="relu")(Concatenate()(read(left), read(right)))
total = Softmax()(Dense(19)(seen))
larger = Sigmoid()(Dense(1)(seen))

model = Model(
    [left, right],
    {"total": total, "larger": larger},
    losses={"total": CrossEntropy(), "larger": BinaryCrossEntropy()},
    loss_weights={"larger": 0.5},
    metrics={"total": [Accuracy()], "larger": [Accuracy()]},
    optimizer=Adam(2e-3),
)
