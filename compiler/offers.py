"""What a network offers: the methods that run entry points, in words.

The recipe of an entry point names one of these (`entry_points.py`). What a method takes, and how it is
answered, follow from the roles of the entry point's tensors.
"""

from __future__ import annotations

from compiler.ir.module.entry_point import Offer

TRAIN_STEP = Offer(
    "train_step",
    """One step of training: forward, backward, update of the parameters. Returns the loss before it.

With `rows`, integers (batch,), x and y are a whole data set and the batch is x[rows], y[rows]: the
inputs are gathered tile by tile inside the step and never copied as a whole.
""",
    gives=("value",),
    rows=True,
)
GRADIENTS = Offer(
    "gradients",
    """The first half of a step of training, without its second, `apply_gradients`: (loss, gradients).

Parameters stay; states, such as running averages, are renewed. `gradients.flat` is the array that all of
them lie in. A batch may come in parts: `before` is how many of its examples came earlier, and dropout goes
on behind them. Means of the parts, weighted by their numbers of examples, are those of the batch. `rows` as
in `train_step`.

Several processes compute a batch together where each makes the same call with a `share` of its own. It has
the numbers `rank` and `ranks` and says whether sums are `ordered`: then each computes lanes of its own, and
the results have the bits of one process alone. Between two phases its methods bring together what others
have computed: `gather(pairs, positions)` values of each example, for the whole batch; `sum(owned, lanes,
pairs)` what each has added up of its lanes, in the tree of all; `join(arrays)` arrays of which each has some
elements, and 0 elsewhere; `add(arrays)` arrays that are added up in any order. The last three begin, and
return a function that waits for the end.
""",
    gives=("value", "gradient"),
    rows=True,
    part=True,
    together=True,
)
APPLY_GRADIENTS = Offer(
    "apply_gradients",
    """The second half of a step of training: one update of the parameters, by an array for each of them.""",
    gives=(),
)
VALUE_AND_GRAD = Offer(
    "value_and_grad",
    """The training loss and its gradients, by parameter name; nothing is updated.

With `inputs=True` the gradients also hold "input", of the shape of the batch. `rows` as in `train_step`.
""",
    gives=("value", "gradient"),
    rows=True,
)
PREDICT = Offer(
    "predict",
    "The model's outputs for any number of examples, none included, as {output}.",
    gives=("output",),
    renews=True,
)
EVALUATE = Offer(
    "evaluate",
    "(loss, outputs) as `predict` computes them: without dropout and without touching anything.",
    gives=("value", "output", "sum"),
    renews=True,
)
METRICS = Offer(
    "metrics",
    """The metrics, by name, of `sums` as `evaluate` gives them third, added up over all batches.

A sum is a number or an array by its name; what is given back is a number, or an array such as a table.
""",
    gives=("metric",),
)
JVP = Offer(
    "jvp",
    """(loss, its derivative along `tangents`), in one forward pass; nothing is updated.

`tangents` maps names of parameters, and "input", to arrays of their shapes; what is missing is 0. The
loss is that of `value_and_grad`, with the same dropout. `rows` as in `train_step`.
""",
    gives=("value", "slope"),
    rows=True,
)
HVP = Offer(
    "hvp",
    """The Hessian of the training loss times `tangents`, by parameter name; nothing is updated.

`tangents` as in `jvp`. When they hold "input", the Hessian is that of the parameters and the input
together, and the products hold "input" too. The loss is that of `value_and_grad`, with the same dropout.
""",
    gives=("gradient",),
    rows=True,
    words=("products", "product"),
)
PER_EXAMPLE = Offer(
    "per_example_gradients",
    """(losses, gradients) of each example: (batch,), and by parameter name (batch, *shape of the parameter).

An example's loss is that of a batch of it alone, with the dropout that it has in this batch; where the
loss is a mean over the batch, means of these are what `value_and_grad` gives. `rows` as in `train_step`.
""",
    gives=("example_value", "example_gradient"),
    rows=True,
)
PULLBACK = Offer(
    "vjp",
    """(outputs, gradients): the gradients of the sum of outputs times `cotangents`, by parameter name.

The outputs are those of training, with the dropout of `value_and_grad`; losses and penalties take no part,
and nothing is updated. `cotangents` are (batch, *shape of an output), of several outputs by their names or in
order. With `inputs=True` the gradients also hold "input", of the shape of the batch.
""",
    gives=("output", "gradient"),
)
GAUSS_NEWTON = Offer(
    "gauss_newton",
    """The Gauss-Newton matrix of the training loss times `tangents`, by parameter name; nothing is updated.

It is JᵀHJ for the Jacobian J of the outputs and the Hessian H of the loss as a function of the outputs alone,
so what penalties add is not in it. `tangents` map names of parameters to arrays; what is missing is 0.
`rows` as in `train_step`.
""",
    gives=("gradient",),
    rows=True,
    words=("products", "product"),
)
FISHER = Offer(
    "fisher",
    """The empirical Fisher matrix times `tangents`, by parameter name; nothing is updated.

It is the mean over the batch of g gᵀ for the gradient g of each example's loss, as `per_example_gradients`
has it. `tangents` and `rows` as in `gauss_newton`.
""",
    gives=("gradient",),
    rows=True,
    words=("products", "product"),
)
DIAGNOSE = Offer(
    "diagnose",
    """(loss, measures) of a step of training, by layer and parameter; nothing is updated.

Summed over the examples: "relu_1/activation", the mean square of an example's values, "relu_1/gradient",
that of the loss's cotangent of them, "relu_1/zeros", the share of zeros, "tanh_1/extremes", that of values
at an end of a bounded activation. Of the batch: "relu_1/dead", the share of units that are 0 for every
example, and "dense_1.kernel/gradient", the sum of squares of a gradient. `rows` as in `train_step`.
""",
    gives=("value", "measure"),
    rows=True,
)
ORDER = (
    TRAIN_STEP,
    GRADIENTS,
    APPLY_GRADIENTS,
    VALUE_AND_GRAD,
    PREDICT,
    EVALUATE,
    JVP,
    HVP,
    PER_EXAMPLE,
    PULLBACK,
    GAUSS_NEWTON,
    FISHER,
    METRICS,
    DIAGNOSE,
)
"""In which a reader of a module finds them; others follow."""
