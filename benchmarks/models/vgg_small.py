"""In the manner of VGG, for 32 × 32 colour images: two pairs of 3 × 3 convolutions, each with a pool."""

from chainrule import Adam, Conv2D, CrossEntropy, Dense, Flatten, Input, MaxPool2D, Sequential, Softmax

model = Sequential(
    [
        Input(32, 32, 3),
        Conv2D(32, 3, padding="same", activation="relu"),
        Conv2D(32, 3, padding="same", activation="relu"),
        MaxPool2D(2),
        Conv2D(64, 3, padding="same", activation="relu"),
        Conv2D(64, 3, padding="same", activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dense(128, activation="relu"),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
