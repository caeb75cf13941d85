"""LeNet-5 on 28 × 28 images (LeCun, Bottou, Bengio and Haffner, 1998), with a softmax at its end."""

from chainrule import Adam, AveragePooling2D, Conv2D, CrossEntropy, Dense, Flatten, Input, Sequential, Softmax

model = Sequential(
    [
        Input(28, 28, 1),
        Conv2D(6, 5, padding="same", activation="tanh"),
        AveragePooling2D(2),
        Conv2D(16, 5, activation="tanh"),
        AveragePooling2D(2),
        Flatten(),
        Dense(120, activation="tanh"),
        Dense(84, activation="tanh"),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
