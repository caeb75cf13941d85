"""The model of these examples: handwritten digits by two dense layers."""

from chainrule import Adam, CrossEntropy, Dense, Flatten, Input, Sequential, Softmax

model = Sequential(
    [Input(28, 28, 1), Flatten(), Dense(32, activation="relu"), Dense(10), Softmax()],
    loss=CrossEntropy(),
    optimizer=Adam(3e-3),
)
