"""A callback of one's own: the hooks have Keras' names, and `self.model` is what is trained.

python examples/own_callback.py
"""

from pathlib import Path

import chainrule
from chainrule import Callback
from runtime.data import load_mnist


class WarmUp(Callback):
    """Let the learning rate grow over the first updates, and stop when the model is good enough."""

    def __init__(self, rate: float, updates: int, enough: float):
        self.rate, self.updates, self.enough = rate, updates, enough

    def on_train_batch_begin(self, batch, logs=None):
        done = min(1.0, (self.model.step + 1) / self.updates)
        self.model.learning_rate = self.rate * done

    def on_epoch_end(self, epoch, logs=None):
        print(f"epoch {epoch + 1}: loss {logs['loss']:.3f}, {logs['samples_per_second']:,.0f} images/s")
        if logs["val_accuracy"] > self.enough:
            self.model.stop_training = True


digits = chainrule.compile(Path(__file__).with_name("digits.py"))
data = load_mnist(offline=True).arrays()
history = chainrule.fit(
    digits.Network(seed=0),
    data.x_train,
    data.y_train,
    epochs=20,
    batch_size=32,
    validation_split=0.1,
    verbose=0,
    callbacks=[WarmUp(rate=5e-3, updates=50, enough=0.9)],
)
print(f"stopped after {len(history.epoch)} epochs, accuracy {history.history['val_accuracy'][-1]:.1%}")
