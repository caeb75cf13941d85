"""Connectionist temporal classification: 100 frames of 40 symbols, the last of them the blank, and 20 labels.

Graves, Fernández, Gomez and Schmidhuber, "Connectionist temporal classification" (ICML 2006). The loss is the
mean over the batch; `x` are logits.
"""

from chainrule import SGD, Formula, FormulaLoss, Input, Model

FRAMES, SYMBOLS, LABELS = 100, 40, 20
CTC = """
p[b, t, k] = x[b, t, k] - log(sum[j](exp(x[b, t, j])))
emit[b, t, 2*m] += p[b, t, blank]
emit[b, t, 2*l + 1] += p[b, t, target[b, l]]
jump[b, 2*l + 1] += none if target[b, l] == target[b, (l + size(l) - 1) % size(l)] else 0
stay[b, t, s] = a[b, t - 1, s] if t >= 1 else (0 if s == 0 else none)
next[b, t, s] = a[b, t - 1, s - 1] if t >= 1 and s >= 1 else (0 if t == 0 and s == 1 else 2 * none)
skip[b, t, s] = a[b, t - 1, s - 2] + pad(jump, 0)[b, s] if t >= 1 and s >= 2 and s % 2 == 1 else 3 * none
top[b, t, s] = max(stay[b, t, s], next[b, t, s], skip[b, t, s])
a[b, t, s] = emit[b, t, s] + top[b, t, s] + log(exp(stay[b, t, s] - top[b, t, s])
    + exp(next[b, t, s] - top[b, t, s]) + exp(skip[b, t, s] - top[b, t, s]))
y[b, o:1] = -log(exp(a[b, last, o + full]) + exp(a[b, last, o + full - 1]))
"""

x = Input(FRAMES, SYMBOLS, name="x")
target = Input(LABELS, vocabulary=SYMBOLS - 1, name="target")
loss = Formula(
    CTC,
    inputs=("x", "target"),
    sizes={"m": LABELS + 1, "s": 2 * LABELS + 1},
    constants={"none": -1e9, "blank": SYMBOLS - 1, "last": FRAMES - 1, "full": 2 * LABELS},
)(x, target)

model = Model(
    [x, target], loss, loss=FormulaLoss("loss[] = mean[b](prediction[b, 0])"), optimizer=SGD(0.1), name="ctc"
)
