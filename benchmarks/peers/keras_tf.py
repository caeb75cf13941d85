"""Keras on TensorFlow: all in one tf.function, by TensorFlow's kernels or by XLA (variant `xla`)."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from benchmarks.batches import Batch
from benchmarks.layers import (
    Activation,
    BatchNorm,
    Beside,
    CausalAttention,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Dropout,
    Embedding,
    Flatten,
    GlobalAverage,
    Layer,
    LayerNorm,
    Lstm,
    Pool,
    Positions,
    Reshape,
    Residual,
)
from benchmarks.protocol import Settings, Task, serve


class AddPositions(layers.Layer):
    """Vectors of positions: learned, or sines and cosines."""

    def __init__(self, *, learned: bool) -> None:
        super().__init__()
        self.learned = learned

    def build(self, shape: tuple[int | None, ...]) -> None:
        positions, channels = shape[1:]
        if self.learned:
            self.table = self.add_weight(shape=(positions, channels), initializer="glorot_uniform")
            return
        place, channel = np.arange(positions)[:, None], np.arange(channels)
        angle = place / 10_000 ** ((channel - channel % 2) / channels)
        self.table = np.where(channel % 2 == 0, np.sin(angle), np.cos(angle)).astype(np.float32)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return x + self.table


def apply_layers(description: tuple[Layer, ...], x: keras.KerasTensor) -> keras.KerasTensor:
    """Keras's own layers, one after the other."""
    for layer in description:
        match layer:
            case Residual(main, shortcut):
                x = layers.Add()([apply_layers(main, x), apply_layers(shortcut, x)])
            case Beside(main):
                x = layers.Concatenate()([x, apply_layers(main, x)])
            case CausalAttention(heads):
                attention = layers.MultiHeadAttention(heads, x.shape[-1] // heads)
                x = attention(x, x, use_causal_mask=True)
            case Conv(filters, size, padding, stride, bias):
                kind = layers.Conv2D if len(x.shape) == 4 else layers.Conv1D
                x = kind(filters, size, strides=stride, padding=padding, use_bias=bias)(x)
            case GlobalAverage():
                average = (
                    layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.GlobalAveragePooling1D
                )
                x = average()(x)
            case _:
                x = keras_layer(layer)(x)
    return x


def keras_layer(layer: Layer) -> layers.Layer:
    match layer:
        case DepthwiseConv(size, stride):
            return layers.DepthwiseConv2D(size, strides=stride, padding="same", use_bias=False)
        case ConvTranspose(filters, size, stride):
            return layers.Conv2DTranspose(filters, size, strides=stride, padding="same")
        case Dense(units):
            return layers.Dense(units)
        case Pool(size, "max"):
            return layers.MaxPooling2D(size)
        case Pool(size, "average"):
            return layers.AveragePooling2D(size)
        case Activation("gelu"):
            return layers.Activation(lambda x: keras.activations.gelu(x, approximate=False))
        case Activation(kind):
            return layers.Activation(kind)
        case Dropout(rate):
            return layers.Dropout(rate)
        case BatchNorm():
            return layers.BatchNormalization()
        case LayerNorm():
            return layers.LayerNormalization(epsilon=1e-3)
        case Embedding(vocabulary, channels):
            return layers.Embedding(vocabulary, channels, embeddings_initializer="glorot_uniform")
        case Positions(learned):
            return AddPositions(learned=learned)
        case Lstm(units):
            return layers.LSTM(units)
        case Flatten():
            return layers.Flatten()
        case Reshape(shape):
            return layers.Reshape(shape)
    raise TypeError(layer)


def build(settings: Settings) -> Task:
    """What `fit` or `predict` runs for a batch, without metrics and callbacks, compiled once."""
    compile_by_xla = settings.variant == "xla"
    tf.config.threading.set_intra_op_parallelism_threads(settings.threads)
    # The step is a chain: running two operations at once measured a little slower than one after the other.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    workload = settings.workload
    inputs = keras.Input(workload.input_shape, dtype="int64" if workload.vocabulary else "float32")
    binary = workload.labels in ("mask", "input")
    last = layers.Activation("sigmoid" if binary else "softmax")
    model = keras.Model(inputs, last(apply_layers(workload.layers, inputs)))
    optimizer = keras.optimizers.Adam(1e-3)
    loss_of = (keras.losses.BinaryCrossentropy if binary else keras.losses.SparseCategoricalCrossentropy)()

    @tf.function(jit_compile=compile_by_xla)
    def step(images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            loss = loss_of(labels, model(images, training=True))
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
