"""OpenVINO, for predictions: the graph that ONNX Runtime reads, compiled for the processor in float32."""

from __future__ import annotations

import numpy as np
import openvino

from benchmarks.batches import Batch
from benchmarks.peers.onnx_graph import channels_first, write_model
from benchmarks.protocol import Settings, Task, Unavailable, serve


def build(settings: Settings) -> Task:
    """One request of a model that is compiled for latency, for batches of one size."""
    if settings.case.mode != "predict":
        raise Unavailable("predicts only")
    core = openvino.Core()
    model = core.read_model(write_model(settings.workload))
    model.reshape([settings.case.batch, *model.inputs[0].partial_shape[1:]])
    options = {
        "INFERENCE_NUM_THREADS": settings.threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Where a processor has bfloat16 it would be used without being asked.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = core.compile_model(model, "CPU", options).create_infer_request()

    def predict(batch: Batch) -> np.ndarray:
        return request.infer([channels_first(settings.workload, batch.images)])[0].copy()

    return Task(predict, {"openvino": openvino.__version__.split("-")[0]}, "CPU, float32, for latency")


if __name__ == "__main__":
    serve(build)
