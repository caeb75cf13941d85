"""`fit` in a script: compile a model, train it, keep the best weights, and draw the history.

python examples/train.py
"""

from pathlib import Path

import chainrule
from chainrule import EarlyStopping, ModelCheckpoint
from runtime.data import load_mnist

digits = chainrule.compile(Path(__file__).with_name("digits.py"))
data = load_mnist(offline=True).arrays()  # MNIST where it is here, else the embedded digits
print(data.source)

network = digits.Network(seed=0)
history = chainrule.fit(
    network,
    data.x_train,
    data.y_train,
    epochs=8,
    batch_size=32,
    validation_data=(data.x_test, data.y_test),
    callbacks=[
        ModelCheckpoint("weights/digits.safetensors", save_best_only=True),
        EarlyStopping(patience=2, restore_best_weights=True),
    ],
)
history.plot("history.png")
print(f"best accuracy: {max(history.history['val_accuracy']):.1%}; weights/digits.safetensors, history.png")
