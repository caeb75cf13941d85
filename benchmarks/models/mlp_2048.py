"""A perceptron with two hidden layers of 2,048 units on flattened 28 × 28 images: 23 MB of weights."""

from chainrule import Adam, CrossEntropy, Dense, Input, Sequential, Softmax

model = Sequential(
    [
        Input(784),
        Dense(2048, activation="relu"),
        Dense(2048, activation="relu"),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
