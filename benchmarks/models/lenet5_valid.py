"""LeNet-5 with ReLU, max pools and no padding, as SimpleChains and Lux measure it."""

from chainrule import Adam, Conv2D, CrossEntropy, Dense, Flatten, Input, MaxPool2D, Sequential, Softmax

model = Sequential(
    [
        Input(28, 28, 1),
        Conv2D(6, 5, activation="relu"),
        MaxPool2D(2),
        Conv2D(16, 5, activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(120, activation="relu"),
        Dense(84, activation="relu"),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
