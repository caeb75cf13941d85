"""The temperature of a rod, of the law of heat alone: a physics-informed network (Raissi et al., 2019).

A point is a place on the rod and a time. The network says the temperature there, u; its loss is how far u
misses ∂u/∂t = 0.1·∂²u/∂x², both derivatives of the network itself. The ends are at 0, and the rod begins as
sin(πx): so u = exp(-0.1·π²·t)·sin(πx), which nobody tells it. There are no labels.
"""

from chainrule import Adam, Dense, Derivative, Formula, FormulaLoss, Input, Model

point = Input(2)
free = Dense(1)(Dense(32, activation="tanh")(Dense(32, activation="tanh")(point)))

# Whatever the network says, the ends and the beginning are right.
temperature = Formula(
    "y[b, o] = sin(pi * x[b, 0]) + x[b, 0] * (1 - x[b, 0]) * x[b, 1] * n[b, o]", inputs=("x", "n")
)(point, free)

by_time = Derivative(1)(temperature, point)
by_place = Derivative(0)(temperature, point)
twice = Derivative(0)(by_place, point)
law = FormulaLoss("loss[] = mean[b]((ut[b, 0] - 0.1 * uxx[b, 0])**2)", inputs=("ut", "uxx"))

model = Model(point, temperature, losses={"law": law(by_time, twice)}, optimizer=Adam(3e-3))
