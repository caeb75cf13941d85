"""Whether a point is of the data, or was made by `models/gan.py`, with which this model takes turns."""

from chainrule import Adam, BinaryCrossEntropy, Dense, Input, Sequential

model = Sequential(
    [
        Input(2),
        Dense(64, activation="relu"),
        Dense(64, activation="relu"),
        Dense(1, activation="sigmoid"),
    ],
    loss=BinaryCrossEntropy(),
    optimizer=Adam(1e-3, beta_1=0.5),
)
