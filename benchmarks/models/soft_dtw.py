"""Soft dynamic time warping of tables of distances, 100 × 100: the loss is the mean over the batch.

Cuturi and Blondel, "Soft-DTW: a differentiable loss function for time-series" (ICML 2017).
"""

from chainrule import SGD, Formula, FormulaLoss, Input, Sequential

SOFT_DTW = """
r[b, i, j] = x[b, i, j] - log(exp(-pad(r, inf)[b, i - 1, j]) + exp(-pad(r, inf)[b, i, j - 1])
    + exp(-pad(r, inf)[b, i - 1, j - 1])) if i + j >= 1 else x[b, i, j]
y[b, o:1] = r[b, last, o + last]
"""

model = Sequential(
    [Input(100, 100), Formula(SOFT_DTW, constants={"last": 99})],
    loss=FormulaLoss("loss[] = mean[b](prediction[b, 0])"),
    optimizer=SGD(0.1),
)
