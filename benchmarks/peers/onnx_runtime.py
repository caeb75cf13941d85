"""ONNX Runtime, for predictions: the graph is written with onnx.helper, all optimisations are on."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from benchmarks.batches import Batch
from benchmarks.protocol import Settings, Task, Unavailable, serve
from benchmarks.workloads import Activation, Conv, Dense, Dropout, Flatten, Layer, Pool

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


def build(settings: Settings) -> Task:
    """One session of the CPU provider."""
    if settings.case.mode != "predict":
        raise Unavailable("predicts only")
    *image, channels = settings.workload.input_shape
    graph = Graph((channels, *image))
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", *graph.shape])
    for layer in settings.workload.layers:
        graph.add_layer(layer)
    graph.add("Softmax", axis=1)
    result = helper.make_tensor_value_info(graph.last, TensorProto.FLOAT, ["batch", *graph.shape])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "network", [given], [result], graph.weights),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = settings.threads, 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def predict(batch: Batch) -> np.ndarray:
        # With one channel both layouts hold the same numbers in the same order, so this copies nothing.
        images = np.ascontiguousarray(np.moveaxis(batch.images, -1, 1)) if image else batch.images
        return session.run(None, {"input": images})[0]

    versions = {"onnxruntime": onnxruntime.__version__}
    return Task(predict, versions, "CPU provider, all graph optimisations")


if __name__ == "__main__":
    serve(build)
