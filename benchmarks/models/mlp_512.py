"""A perceptron with two hidden layers of 512 units on flattened 28 × 28 images."""

from chainrule import Adam, CrossEntropy, Dense, Input, Sequential, Softmax

model = Sequential(
    [
        Input(784),
        Dense(512, activation="relu"),
        Dense(512, activation="relu"),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
