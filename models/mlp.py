"""A perceptron with one hidden layer on flattened 28 × 28 images."""

from chainrule import SGD, CrossEntropy, Dense, Input, Sequential, Softmax

model = Sequential(
    [
        Input(784),
        Dense(128, activation="relu"),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=SGD(0.1, momentum=0.9),
)
