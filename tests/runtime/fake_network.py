"""A network with the interface of a generated module, in a few lines of NumPy, for tests of the runtime.

One dense layer, softmax and cross-entropy (or half the squared error for real targets), momentum, and input
dropout keyed by (seed, step), so that forgetting any part of the state on resume changes the result.
"""

import sys
from types import ModuleType

import numpy as np

INPUT_SHAPE = (28, 28, 1)
OUTPUT_SHAPE = (10,)
LABEL_KIND = "index"
DTYPE = "float32"
MODEL_NAME = "fake"
MODEL_HASH = "0123abcd"
DROPOUT = 0.1


class Gradients(dict):
    flat = None


class Network:
    home = __name__  # the module whose constants count

    def __init__(self, seed=0, threads=None):
        constants = sys.modules[self.home]
        self.dtype = np.dtype(constants.DTYPE)
        self.inputs = int(np.prod(constants.INPUT_SHAPE))
        self.outputs = int(np.prod(constants.OUTPUT_SHAPE))
        self.classifies = constants.LABEL_KIND == "index"
        generator = np.random.Generator(np.random.Philox(key=seed))
        kernel = generator.standard_normal((self.inputs, self.outputs)) * 0.01
        self.parameters = {
            "dense.kernel": kernel.astype(self.dtype),
            "dense.bias": np.zeros(self.outputs, self.dtype),
        }
        self.optimizer_state = {f"velocity/{name}": np.zeros_like(a) for name, a in self.parameters.items()}
        self.state = {}
        self.step = 0
        self.seed = seed
        self.learning_rate = 0.1
        self.threads = threads or 1

    def train_step(self, x, y, rows=None):
        loss, gradients = self.gradients(x, y, rows)
        self.apply_gradients(gradients)
        return loss

    def gradients(self, x, y, rows=None, before=0):
        if rows is not None:
            x, y = np.take(x, rows, axis=0), np.take(y, rows, axis=0)
        words = np.random.Philox(key=[self.seed, self.step]).random_raw((before + len(x)) * self.inputs)
        keep = (words[before * self.inputs :].reshape(len(x), -1) >> 11 >= DROPOUT * 2.0**53).astype(
            self.dtype
        )
        loss, found = self._gradients(self._flat(x) * keep, y)
        flat = np.concatenate([gradient.ravel() for gradient in found.values()])
        places = np.cumsum([gradient.size for gradient in found.values()])
        views = np.split(flat, places[:-1])
        gradients = Gradients(
            (name, view.reshape(gradient.shape))
            for (name, gradient), view in zip(found.items(), views, strict=True)
        )
        gradients.flat = flat
        return loss, gradients

    def apply_gradients(self, gradients):
        for name, gradient in gradients.items():
            velocity = self.optimizer_state[f"velocity/{name}"]
            velocity[...] = self.dtype.type(0.9) * velocity + gradient
            self.parameters[name] -= self.dtype.type(self.learning_rate) * velocity
        self.step += 1

    def value_and_grad(self, x, y):
        return self._gradients(self._flat(x), y)

    def predict(self, x):
        return self._outputs(self._flat(x))

    def evaluate(self, x, y):
        outputs = self.predict(x)
        return self._loss(outputs, y), outputs

    def _flat(self, x):
        assert (
            x.ndim > 1 and x.flags.c_contiguous and x.shape[1:] == tuple(sys.modules[self.home].INPUT_SHAPE)
        )
        flat = x.reshape(len(x), -1).astype(self.dtype)
        return flat / self.dtype.type(255) if x.dtype == np.uint8 else flat

    def _outputs(self, flat):
        outputs = flat @ self.parameters["dense.kernel"] + self.parameters["dense.bias"]
        if self.classifies:
            outputs = np.exp(outputs - outputs.max(axis=1, keepdims=True))
            outputs /= outputs.sum(axis=1, keepdims=True)
        return outputs

    def _loss(self, outputs, y):
        if self.classifies:
            return float(-np.log(outputs[np.arange(len(y)), y] + self.dtype.type(1e-30)).mean())
        return float(((outputs - y) ** 2).sum(axis=1).mean() / 2)

    def _gradients(self, flat, y):
        outputs = self._outputs(flat)
        error = outputs - (np.eye(self.outputs, dtype=self.dtype)[y] if self.classifies else y)
        error = (error / len(y)).astype(self.dtype)
        return self._loss(outputs, y), {"dense.kernel": flat.T @ error, "dense.bias": error.sum(axis=0)}


def make_module(name, **constants):
    """Another module of this kind, with other constants, that `sys.modules` knows as `name`."""
    module = ModuleType(name)
    here = sys.modules[__name__]
    for constant in ("INPUT_SHAPE", "OUTPUT_SHAPE", "LABEL_KIND", "DTYPE", "MODEL_NAME", "MODEL_HASH"):
        setattr(module, constant, constants.get(constant, getattr(here, constant)))
    module.Network = type("Network", (Network,), {"home": name})
    sys.modules[name] = module
    return module


def small_images(count, seed=0):
    """Images uint8 (count, 28, 28, 1), labels uint8 (count,): one bright row tells the class among ten."""
    labels = (np.arange(count) * 7 % 10).astype(np.uint8)
    noise = np.random.Philox(key=seed).random_raw(count * 784).astype(np.uint8) >> 2
    images = noise.reshape(count, 28, 28, 1)
    images[np.arange(count), 2 * labels + 4] = 255
    return images, labels
