"""Keras on TensorFlow: the step in one tf.function, by TensorFlow's kernels or by XLA (variant `xla`)."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from benchmarks.batches import Batch
from benchmarks.protocol import Builder, Settings, TrainingStep, serve


def mnist_cnn() -> keras.Model:
    """The convolutional network of the Keras examples."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def build_mnist_cnn(settings: Settings) -> TrainingStep:
    """What `fit` runs for a batch, without its metrics and callbacks, compiled once."""
    compile_by_xla = settings.variant == "xla"
    tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    # The step is a chain: running two operations at once measured a little slower than one after the other.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    model = mnist_cnn()
    optimizer = keras.optimizers.Adam(1e-3)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy()

    @tf.function(jit_compile=compile_by_xla)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    def run(batch: Batch) -> float:
        return float(step(tf.constant(batch.images), tf.constant(batch.labels)))

    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    return TrainingStep(
        run, versions, f"tf.function, {'XLA' if compile_by_xla else 'oneDNN and Eigen kernels'}"
    )


BUILDERS: dict[str, Builder] = {"mnist_cnn": build_mnist_cnn}

if __name__ == "__main__":
    serve(BUILDERS)
