"""`evaluate`: loss and accuracy of saved weights on the test data."""

from __future__ import annotations

import argparse
from types import ModuleType

import numpy as np

from runtime.border import SUCCESS, guarded
from runtime.checkpoint import read_description
from runtime.commands.data import check_data_exist, load_data
from runtime.commands.output import say
from runtime.commands.trained import check_weights_exist, known_data, trained_network
from runtime.evaluation import evaluate as evaluate_network
from runtime.interface import ModelInterface
from runtime.progress import percent


def check_evaluate_files(arguments: argparse.Namespace) -> None:
    """Look at the files that the options name. Raises DataError and WeightsError."""
    if arguments.weights:
        read_description(arguments.weights)
    check_data_exist(arguments)


def evaluate(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Measure loss and accuracy of a weights file on the test data; returns the exit code."""
    return guarded(lambda: _evaluate(arguments, module))


def _evaluate(arguments: argparse.Namespace, module: ModuleType) -> int:
    interface = ModelInterface.of_module(module)
    check_weights_exist(arguments, interface)
    data, identity = load_data(arguments, interface, known_data(arguments, interface))
    network, checkpoint = trained_network(arguments, module, interface, identity)
    say(arguments, "data", f"data: {data.source}", source=data.source)
    result = evaluate_network(network, data.x_test, data.y_test, arguments.batch_size, interface)
    text = f"loss {result.loss:.4f}"
    if result.accuracy is not None:
        text += f"  accuracy {percent(result.accuracy, result.accuracy_error)}"
    metrics = {name: np.asarray(value).tolist() for name, value in result.metrics.items()}
    shown = {name: value for name, value in metrics.items() if isinstance(value, float)}
    if result.accuracy is not None:
        shown.pop("accuracy", None)  # which has its error beside it already
    text += "".join(f"  {name} {value:.4f}" for name, value in shown.items())
    text += f"  on {result.samples:,} test samples, weights {checkpoint.path}"
    say(arguments, "evaluation", text, weights=checkpoint.path, **vars(result) | {"metrics": metrics})
    return SUCCESS
