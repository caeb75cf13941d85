"""A network whose layers are all written here, as formulas: convolutions, poolings, a dense layer, a softmax.

One of them no framework has: a pooling between the mean and the maximum of its window. Each channel learns
how near it comes to the one or the other.
"""

from chainrule import (
    Adam,
    CrossEntropy,
    Formula,
    HeNormal,
    Input,
    Parameter,
    Pointwise,
    Sequential,
    Zeros,
    maximum,
)


def convolution(filters):
    """A 3 × 3 convolution; how far h and w go follows from the input."""
    return Formula(
        "y[b, h, w, o] = sum[p, q, c](kernel[p, q, c, o] * x[b, h + p, w + q, c]) + bias[o]",
        sizes={"p": 3, "q": 3, "o": filters},
        parameters={"kernel": HeNormal(), "bias": Zeros()},
    )


def sharp_pooling():
    """Of each 2 × 2 window, log(mean(exp(s * x))) / s: near the mean for a small s, near the maximum else."""
    return Formula(
        """
        s[c] = exp(sharpness[c])
        y[b, h, w, c] = log(mean[p:2, q:2](exp(s[c] * x[b, 2*h + p, 2*w + q, c]))) / s[c]
        """,
        parameters={"sharpness": Zeros()},
    )


model = Sequential(
    [
        Input(28, 28, 1),
        convolution(8),
        Pointwise(lambda x: maximum(x, 0)),
        Formula("y[b, h, w, c] = max[p:2, q:2](x[b, 2*h + p, 2*w + q, c])"),
        convolution(16),
        Pointwise(lambda x, slope: maximum(x, 0) + slope * x, slope=Parameter((-1,), Zeros())),
        sharp_pooling(),
        Formula("y[b, ravel(h, w, c)] = x[b, h, w, c]"),
        Formula(
            "y[b, o] = sum[i](kernel[i, o] * x[b, i]) + bias[o]",
            sizes={"o": 10},
            parameters={"kernel": HeNormal(), "bias": Zeros()},
        ),
        Formula("y[b, c] = exp(x[b, c]) / sum[k](exp(x[b, k]))"),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
