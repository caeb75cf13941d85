"""Points on a ring of eight spots, from noise: the generator of a pair (Goodfellow et al., 2014).

`models/gan_discriminator.py` says whether a point is of the data. The two take turns: its derivative by a
point that was made here is the cotangent of the output, from which `net.vjp` of the mode pullback finds the
gradients. How far out points lie is a loss for measurements alone.
"""

from chainrule import Adam, Dense, FormulaLoss, Input, Model

noise = Input(8)
hidden = Dense(64, activation="relu")(Dense(64, activation="relu")(noise))
point = Dense(2)(hidden)
spread = FormulaLoss("loss[] = mean[b](sum[i](point[b, i]**2))", inputs=("point",))

model = Model(noise, point, losses={"spread": spread(point)}, optimizer=Adam(1e-3, beta_1=0.5))
