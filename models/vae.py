"""A variational autoencoder of 28 × 28 images through 8 normally distributed numbers (Kingma, Welling, 2014).

It has no labels: the likelihood compares with the image itself, and the divergence is a penalty on two values
inside. Noise is made of two uniform numbers (Box and Muller, 1958); outside training there is none.
"""

from chainrule import Adam, BinaryCrossEntropy, Dense, Flatten, Formula, FormulaLoss, Input, Model, Reshape

image = Input(28, 28, 1, name="image")
hidden = Dense(256, activation="relu")(Flatten()(image))
mean, spread = Dense(8, name="mean")(hidden), Dense(8, name="spread")(hidden)

code = Formula(
    """
    y[b, i] = mean[b, i] + exp(spread[b, i] / 2) * (
        sqrt(-2 * log(1 - uniform[b, i])) * cos(2 * pi * uniform[b, i])
    )
    """,
    inputs=("mean", "spread"),
    inference="y[b, i] = mean[b, i]",
)(mean, spread)
decoded = Reshape(28, 28, 1)(Dense(784, activation="sigmoid")(Dense(256, activation="relu")(code)))

divergence = FormulaLoss(
    "loss[] = mean[b](sum[i](exp(s[b, i]) + m[b, i]**2 - 1 - s[b, i]) / 2)", inputs=("m", "s")
)

model = Model(
    image,
    decoded,
    losses={"surprise": BinaryCrossEntropy()(decoded, image), "divergence": divergence(mean, spread)},
    loss_weights={"surprise": 784},  # a mean over pixels; the bound is of their sum
    optimizer=Adam(1e-3),
)
