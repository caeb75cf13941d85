"""Whether two images show different digits: a Siamese network, whose two halves share their parameters.

The loss is contrastive (Hadsell, Chopra and LeCun, CVPR 2006): images of one digit are drawn together, others
pushed apart as far as 1.
"""

from chainrule import Accuracy, Adam, Conv2D, Dense, Flatten, Formula, FormulaLoss, Input, MaxPool2D, Model

left, right = Input(28, 28, 1, name="left"), Input(28, 28, 1, name="right")
layers = [
    Conv2D(8, 3, activation="relu"),
    MaxPool2D(2),
    Conv2D(16, 3, activation="relu"),
    MaxPool2D(2),
    Flatten(),
    Dense(64, activation="relu"),
    Dense(16),
]


def place(image):
    """Where an image lies among the others."""
    value = image
    for layer in layers:
        value = layer(value)
    return value


distance = Formula("y[b] = sqrt(sum[i]((x1[b, i] - x2[b, i])**2) + 1e-6)")(place(left), place(right))
contrast = FormulaLoss(
    "loss[] = mean[b](label[b] * max(1 - d[b], 0)**2 + (1 - label[b]) * d[b]**2)", inputs=("d",), label=()
)

model = Model(
    [left, right],
    distance,
    losses={"different": contrast(distance)},
    metrics={"different": [Accuracy(threshold=0.5)]},
    optimizer=Adam(1e-3),
)
