"""Reads sequences of up to 100 steps of 32 numbers, with their lengths, by an LSTM of 128 units."""

from chainrule import LSTM, Adam, CrossEntropy, Dense, Input, Model, Softmax

x = Input(100, 32, lengths=True)
model = Model(x, Softmax()(Dense(10)(LSTM(128)(x))), loss=CrossEntropy(), optimizer=Adam(1e-3))
