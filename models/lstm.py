"""Reads an image of 8 × 8 pixels row by row, a sequence of eight steps, and says which digit it is."""

from chainrule import LSTM, Adam, CrossEntropy, Dense, Input, Sequential, Softmax

model = Sequential(
    [
        Input(8, 8),
        LSTM(32),
        Dense(10),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(5e-3),
)
