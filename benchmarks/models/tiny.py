"""A model whose step takes some microseconds, much less than it takes to wake a thread."""

from chainrule import Adam, CrossEntropy, Dense, Input, Sequential, Softmax

model = Sequential(
    [
        Input(8),
        Dense(16, activation="relu"),
        Dense(4),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
