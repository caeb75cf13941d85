"""Transfer: begin with the weights of another model, as far as they fit, and with a fresh optimizer.

    python examples/train.py && python examples/transfer.py

On the command line the same is `chainrule train MODEL --init-from weights/digits.safetensors`.
"""

import chainrule
from chainrule import Adam, CrossEntropy, Dense, Flatten, Input, Sequential, Softmax
from runtime.checkpoint import load_weights
from runtime.data import load_mnist

# The same first layers; the last one tells even digits from odd ones.
parity = chainrule.compile(
    Sequential(
        [Input(28, 28, 1), Flatten(), Dense(32, activation="relu"), Dense(2), Softmax()],
        loss=CrossEntropy(),
        optimizer=Adam(3e-3),
        name="parity",
    )
)
network = parity.Network(seed=0)
loaded = load_weights(network, "weights/digits.safetensors", by_name=True)
for difference in loaded.left.values():
    print("not taken:", difference)

data = load_mnist(offline=True).arrays()
history = chainrule.fit(
    network,
    data.x_train,
    data.y_train % 2,
    epochs=3,
    batch_size=32,
    validation_data=(data.x_test, data.y_test % 2),
)
