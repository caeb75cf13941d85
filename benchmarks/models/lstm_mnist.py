"""Reads an image of 28 × 28 pixels row by row by an LSTM of 128 units, and says which digit it is."""

from chainrule import LSTM, Adam, CrossEntropy, Dense, Input, Sequential, Softmax

model = Sequential(
    [Input(28, 28), LSTM(128), Dense(10), Softmax()], loss=CrossEntropy(), optimizer=Adam(1e-3)
)
