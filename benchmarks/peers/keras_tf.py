"""Keras on TensorFlow: all in one tf.function, by TensorFlow's kernels or by XLA (variant `xla`)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.batches import Batch
from benchmarks.protocol import Settings, Task, serve
from benchmarks.workloads import (
    Activation,
    BatchNorm,
    Conv,
    Dense,
    Dropout,
    Flatten,
    GlobalAverage,
    Layer,
    Pool,
    Residual,
)


def apply_layers(description: tuple[Layer, ...], x: keras.KerasTensor) -> keras.KerasTensor:
    """Keras's own layers, one after the other."""
    for layer in description:
        if isinstance(layer, Residual):
            x = layers.Add()([apply_layers(layer.main, x), apply_layers(layer.shortcut, x)])
        else:
            x = keras_layer(layer)(x)
    return x


def keras_layer(layer: Layer) -> layers.Layer:
    match layer:
        case Conv(filters, size, padding, stride, bias):
            return layers.Conv2D(filters, size, strides=stride, padding=padding, use_bias=bias)
        case Dense(units):
            return layers.Dense(units)
        case Pool(size, "max"):
            return layers.MaxPooling2D(size)
        case Pool(size, "average"):
            return layers.AveragePooling2D(size)
        case Activation(kind):
            return layers.Activation(kind)
        case Dropout(rate):
            return layers.Dropout(rate)
        case BatchNorm():
            return layers.BatchNormalization()
        case Flatten():
            return layers.Flatten()
        case GlobalAverage():
            return layers.GlobalAveragePooling2D()
    raise TypeError(layer)


def build(settings: Settings) -> Task:
    """What `fit` or `predict` runs for a batch, without metrics and callbacks, compiled once."""
    compile_by_xla = settings.variant == "xla"
    tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    # The step is a chain: running two operations at once measured a little slower than one after the other.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    inputs = keras.Input(settings.workload.input_shape)
    outputs = layers.Activation("softmax")(apply_layers(settings.workload.layers, inputs))
    model = keras.Model(inputs, outputs)
    optimizer = keras.optimizers.Adam(1e-3)
    cross_entropy = keras.losses.SparseCategoricalCrossentropy()

    @tf.function(jit_compile=compile_by_xla)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, model(images, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    @tf.function(jit_compile=compile_by_xla)
    def predict(images: tf.Tensor) -> tf.Tensor:
        return model(images, training=False)

    def run_step(batch: Batch) -> float:
        return float(step(tf.constant(batch.images), tf.constant(batch.labels)))

    def run_predict(batch: Batch) -> np.ndarray:
        return predict(tf.constant(batch.images)).numpy()

    versions = {"tensorflow": tf.__version__, "keras": keras.__version__}
    setting = f"tf.function, {'XLA' if compile_by_xla else 'oneDNN and Eigen kernels'}"
    return Task(run_step if settings.case.mode == "train" else run_predict, versions, setting)


if __name__ == "__main__":
    serve(build)
