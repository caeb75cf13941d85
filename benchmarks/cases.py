"""The cases: a model, its training step or its prediction, and a batch. Each is a section of the results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from benchmarks.workloads import WORKLOADS


@dataclass(frozen=True)
class Case:
    """One section of the results: a workload, what is timed, and how many examples at once."""

    workload: str
    mode: Literal["train", "predict"]
    batch: int

    @property
    def name(self) -> str:
        """How the command line calls it, such as `mnist_cnn/train/128`."""
        return f"{self.workload}/{self.mode}/{self.batch}"

    @property
    def title(self) -> str:
        what = "training step" if self.mode == "train" else "prediction"
        return f"{self.workload}: {what}, batch {self.batch:,}"


CASES = {
    case.name: case
    for case in (
        Case("mnist_cnn", "train", 128),
        Case("mnist_cnn", "train", 1),
        Case("mnist_cnn", "train", 8),
        Case("mnist_cnn", "train", 16),
        Case("mnist_cnn", "train", 32),
        Case("mnist_cnn", "train", 1024),
        Case("lenet5", "train", 128),
        Case("lenet5_relu", "train", 128),
        Case("lenet5_valid", "train", 128),
        Case("mlp_512", "train", 128),
        Case("mlp_2048", "train", 128),
        Case("vgg_small", "train", 128),
        Case("resnet8", "train", 128),
        Case("resnet20", "train", 128),
        Case("mobilenet_small", "train", 128),
        Case("autoencoder", "train", 128),
        Case("unet_small", "train", 16),
        Case("conv1d", "train", 128),
        Case("lstm", "train", 128),
        Case("transformer", "train", 128),
        Case("gpt_small", "train", 16),
        Case("gpt_medium", "train", 8),
        Case("mnist_cnn", "predict", 1),
        Case("mnist_cnn", "predict", 1024),
    )
}


def parse_case(text: str) -> Case:
    """A case of the table, or another batch of a known model. Raises ValueError for anything else."""
    if text in CASES:
        return CASES[text]
    workload, _, rest = text.partition("/")
    mode, _, batch = rest.partition("/")
    if workload not in WORKLOADS or mode not in ("train", "predict") or not batch.isdigit() or not int(batch):
        raise ValueError(
            f"{text}: expected MODEL/train/BATCH or MODEL/predict/BATCH, such as {next(iter(CASES))}"
        )
    return Case(workload, mode, int(batch))


def needed_files(cases: Iterable[Case]) -> list[str]:
    """The model files to compile for these cases, each once."""
    return list(dict.fromkeys(WORKLOADS[case.workload].model_file for case in cases))
