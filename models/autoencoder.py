"""A convolutional autoencoder of 28 × 28 images through 32 numbers; images, 0 to 1, are its labels too."""

from chainrule import (
    Adam,
    BinaryCrossEntropy,
    Conv2D,
    Conv2DTranspose,
    Dense,
    Flatten,
    Input,
    Reshape,
    Sequential,
)

model = Sequential(
    [
        Input(28, 28, 1),
        Conv2D(8, 3, stride=2, padding="same", activation="relu"),
        Conv2D(16, 3, stride=2, padding="same", activation="relu"),
        Flatten(),
        Dense(32, name="code"),
        Dense(7 * 7 * 16, activation="relu"),
        Reshape(7, 7, 16),
        Conv2DTranspose(8, 3, stride=2, padding="same", activation="relu"),
        Conv2DTranspose(1, 3, stride=2, padding="same", activation="sigmoid"),
    ],
    loss=BinaryCrossEntropy(),
    optimizer=Adam(2e-3),
)
