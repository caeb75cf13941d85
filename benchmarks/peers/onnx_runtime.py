"""ONNX Runtime, for predictions: all optimisations are on."""

from __future__ import annotations

import numpy as np
import onnxruntime

from benchmarks.batches import Batch
from benchmarks.peers.onnx_graph import channels_first, write_model
from benchmarks.protocol import Settings, Task, Unavailable, serve


def build(settings: Settings) -> Task:
    """One session of the CPU provider."""
    if settings.case.mode != "predict":
        raise Unavailable("predicts only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = settings.threads, 1
    session = onnxruntime.InferenceSession(
        write_model(settings.workload), options, providers=["CPUExecutionProvider"]
    )

    def predict(batch: Batch) -> np.ndarray:
        return session.run(None, {"input": channels_first(settings.workload, batch.images)})[0]

    versions = {"onnxruntime": onnxruntime.__version__}
    return Task(predict, versions, "CPU provider, all graph optimisations")


if __name__ == "__main__":
    serve(build)
