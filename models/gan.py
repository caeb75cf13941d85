"""Points on a ring of eight spots, from noise: two models that take turns (Goodfellow et al., 2014).

The discriminator says whether a point is of the data. It is trained by itself; its derivative by a point that
the generator made is the cotangent of the generator's output, `net.vjp` of the mode pullback. `model` is the
generator; its own loss, how far out points lie, is for measurements alone.
"""

from chainrule import Adam, BinaryCrossEntropy, Dense, FormulaLoss, Input, Model, Sequential

noise = Input(8)
hidden = Dense(64, activation="relu")(Dense(64, activation="relu")(noise))
point = Dense(2)(hidden)
spread = FormulaLoss("loss[] = mean[b](sum[i](point[b, i]**2))", inputs=("point",))

generator = Model(
    noise, point, losses={"spread": spread(point)}, optimizer=Adam(1e-3, beta_1=0.5), name="gan"
)
discriminator = Sequential(
    [
        Input(2),
        Dense(64, activation="relu"),
        Dense(64, activation="relu"),
        Dense(1, activation="sigmoid"),
    ],
    loss=BinaryCrossEntropy(),
    optimizer=Adam(1e-3, beta_1=0.5),
    name="gan_discriminator",
)
model = generator
