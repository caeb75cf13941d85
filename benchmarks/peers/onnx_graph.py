"""The nets as ONNX graphs, for what reads these: written with onnx.helper."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.layers import Activation, Conv, Dense, Dropout, Flatten, Layer, Pool
from benchmarks.protocol import Unavailable
from benchmarks.workloads import Workload

OPSET = 17
IR_VERSION = 8


class Graph:
    """Nodes and weights of a chain of layers, images with channels first."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.last = shape, "input"
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._generator = np.random.default_rng(0)

    def add(self, kind: str, weights: tuple[tuple[int, ...], ...] = (), **attributes) -> None:
        """One node behind the last one, with weights of the given shapes."""
        number = len(self.nodes)
        names = [f"weight{number}_{k}" for k in range(len(weights))]
        for name, shape in zip(names, weights, strict=True):
            spread = (6 / max(1, prod(shape[1:]))) ** 0.5
            values = self._generator.uniform(-spread, spread, shape).astype(np.float32)
            self.weights.append(numpy_helper.from_array(values, name))
        self.nodes.append(helper.make_node(kind, [self.last, *names], [f"value{number}"], **attributes))
        self.last = f"value{number}"

    def add_layer(self, layer: Layer) -> None:
        match layer:
            case Conv(filters, size, padding, 1, True):
                around = size // 2 if padding == "same" else 0
                self.add("Conv", ((filters, self.shape[0], size, size), (filters,)), pads=[around] * 4)
                self.shape = (filters, *(extent + 2 * around - size + 1 for extent in self.shape[1:]))
            case Dense(units):
                self.add("Gemm", ((units, self.shape[0]), (units,)), transB=1)
                self.shape = (units,)
            case Pool(size, kind):
                name = "MaxPool" if kind == "max" else "AveragePool"
                self.add(name, kernel_shape=[size, size], strides=[size, size])
                self.shape = (self.shape[0], *(extent // size for extent in self.shape[1:]))
            case Activation(kind):
                self.add("Relu" if kind == "relu" else "Tanh")
            case Dropout():
                pass  # does nothing outside training
            case Flatten():
                self.add("Flatten")
                self.shape = (prod(self.shape),)
            case _:
                raise Unavailable(f"{type(layer).__name__} is not written as ONNX here")


def write_model(workload: Workload) -> bytes:
    """The net with a softmax behind it, images channels first. Raises Unavailable for layers that are not
    written here."""
    if not (workload.is_image or len(workload.input_shape) == 1) or workload.labels != "class":
        raise Unavailable("only classifiers of images and vectors are written as ONNX here")
    *image, channels = workload.input_shape
    graph = Graph((channels, *image))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *graph.shape])
    for layer in workload.layers:
        graph.add_layer(layer)
    graph.add("Softmax", axis=1)
    result = helper.make_tensor_value_info(graph.last, TensorProto.FLOAT, ["batch", *graph.shape])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "network", [given], [result], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    return model.SerializeToString()


def channels_first(workload: Workload, images: np.ndarray) -> np.ndarray:
    """What the graph is given. With one channel both layouts hold the same numbers in the same order, so that
    nothing is copied."""
    return np.ascontiguousarray(np.moveaxis(images, -1, 1)) if workload.is_image else images
