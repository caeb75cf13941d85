"""Train every model of `models/` at its full size, each to a stated result.

    python -m benchmarks.trained --models resnet8,transformer --seed 1

`make trained` does it, and compiles the models before. Data are MNIST where it lies on this machine, else the
digits that come with the project, and the project's own text. The exit code is 1 if a result is not reached.
"""

from __future__ import annotations

import argparse
import importlib
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.report import write_into
from benchmarks.trained_data import (
    DIGITS,
    MADE,
    MNIST,
    NOT_MNIST,
    TEXT,
    alike_or_not,
    by_rows,
    entropies,
    in_colour,
    in_pairs,
    load_images,
    read_text,
    reconstructed,
    to_be_sorted,
    without_labels,
)
from runtime.callbacks import LearningRateScheduler
from runtime.data import Arrays
from runtime.errors import ChainruleRuntimeError
from runtime.evaluation import evaluate
from runtime.interface import ModelInterface
from runtime.progress import percent
from runtime.trainer import fit

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "models.md"


@dataclass(frozen=True)
class Measured:
    """How good a network is on held-out data, and the same with its unit, for people."""

    value: float
    text: str


Measure = Callable[[Any, ModelInterface, Arrays], Measured]


def accuracy(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """Per cent, with the standard error of a proportion."""
    result = evaluate(network, data.x_test, data.y_test, interface=interface)
    return Measured(100 * result.accuracy, f"accuracy {percent(result.accuracy, result.accuracy_error)}")


def error_of_mean(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """Squared error, as a share of what the mean training image makes."""
    error = np.mean((network.predict(data.x_test) - data.y_test) ** 2, dtype=float)
    mean = np.mean((data.y_train.mean(axis=0) - data.y_test) ** 2, dtype=float)
    text = f"{error / mean:.3f} of the mean image's squared error ({error:.4f} of {mean:.4f})"
    return Measured(error / mean, text)


def measured(name: str) -> Measure:
    """A share that the module itself measures, per cent."""

    def per_cent(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
        value = 100 * evaluate(network, data.x_test, data.y_test, interface=interface).metrics[name]
        return Measured(value, f"{name} {value:.2f} %")

    return per_cent


def nats(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """The loss, a bound of the surprise at an image."""
    value = evaluate(network, data.x_test, data.y_test, interface=interface).loss
    return Measured(value, f"{value:.1f} nats an image")


def bits(network: Any, interface: ModelInterface, data: Arrays) -> Measured:
    """The loss in bits a character, beside what counting characters and pairs of them makes."""
    value = evaluate(network, data.x_test, data.y_test, interface=interface).loss / math.log(2)
    alone, after = entropies(data)
    text = f"{value:.2f} bits a character (counts of characters {alone:.2f}, of pairs {after:.2f})"
    return Measured(value, text)


total_accuracy, different_accuracy = measured("total_accuracy"), measured("different_accuracy")
MEASURES: dict[Measure, tuple[str, bool]] = {
    accuracy: ("at least {:g} %", True),
    error_of_mean: ("at most {:g}", False),
    bits: ("at most {:g}", False),
    nats: ("at most {:g}", False),
    total_accuracy: ("at least {:g} %", True),
    different_accuracy: ("at least {:g} %", True),
}
"""How a stated result reads, and whether more is better."""


@dataclass(frozen=True)
class Goal:
    """How long a model is trained on some data, and what it must then reach."""

    epochs: int
    result: float
    batch_size: int = 128


@dataclass(frozen=True)
class Task:
    """What a model has to learn: its data made of images, or the text; a goal for each kind of data."""

    goals: Mapping[str, Goal]
    measure: Measure = accuracy
    form: Callable[[Arrays], Arrays] = lambda images: images


def on_digits(mnist: Goal, digits: Goal, **rest: Any) -> Task:
    return Task({MNIST: mnist, DIGITS: digits}, **rest)


TASKS = {
    "mlp": on_digits(Goal(10, 97), Goal(20, 95, 32)),
    "lenet5": on_digits(Goal(8, 97.5), Goal(15, 95, 32)),
    "mnist": on_digits(Goal(12, 98.7), Goal(12, 95, 32)),
    "autoencoder": on_digits(Goal(6, 0.12), Goal(30, 0.1, 32), measure=error_of_mean, form=reconstructed),
    "resnet_small": on_digits(Goal(6, 96.5), Goal(20, 93, 32)),
    "resnet8": on_digits(Goal(5, 95.5), Goal(30, 60, 32), form=in_colour),
    "mobilenet_small": on_digits(Goal(8, 97), Goal(20, 94, 32)),
    "transformer": Task({TEXT: Goal(8, 2.5)}, measure=bits),
    "sorting": Task({MADE: Goal(5, 99)}),
    "lstm": on_digits(Goal(40, 95), Goal(40, 90, 32), form=by_rows),
    "pairs": on_digits(Goal(10, 90), Goal(40, 50, 32), measure=total_accuracy, form=in_pairs),
    "siamese": on_digits(Goal(10, 96.5), Goal(40, 92, 32), measure=different_accuracy, form=alike_or_not),
    "vae": on_digits(Goal(10, 120), Goal(40, 300, 32), measure=nats, form=without_labels),
    "formulas": on_digits(Goal(8, 97), Goal(20, 93, 32)),
}
"""Each result leaves a margin to what seeds 0 and 1 reached, larger than the difference between the two."""


@dataclass(frozen=True)
class Row:
    """What came of a model; `seconds` are those of processors, all threads together, while it trained."""

    model: str
    parameters: int
    data: str
    goal: Goal
    measure: Measure
    found: Measured
    seconds: float

    @property
    def reached(self) -> bool:
        more = MEASURES[self.measure][1]
        # A loss that is not a number reaches nothing: both comparisons with it are false.
        return self.found.value >= self.goal.result if more else self.found.value <= self.goal.result


def run_task(name: str, module: ModuleType, kind: str, images: Arrays, seed: int) -> Row:
    """Train a network of a generated module as its task says, on images of a kind if its data are images.

    The rate falls from the model's own, by the same amount after every epoch: results at a constant rate
    differ by whole points from one epoch to the next. Raises ChainruleRuntimeError.
    """
    task, interface = TASKS[name], ModelInterface.of_module(module)
    own = next((of for of in task.goals if of in (TEXT, MADE)), None)
    goal = task.goals[kind if own is None else own]
    data = task.form(images) if own is None else _own_data(own, interface)
    network = module.Network(seed=seed)
    own_rate = network.learning_rate
    falling = LearningRateScheduler(lambda epoch, _: own_rate * (1 - epoch / goal.epochs))
    start = time.process_time()
    fit(
        network,
        interface.fit_inputs(data.x_train, "training inputs"),
        data.y_train,
        batch_size=goal.batch_size,
        epochs=goal.epochs,
        callbacks=[falling],
        verbose=0,
        interface=interface,
    )
    seconds = time.process_time() - start
    held_out = interface.fit_inputs(data.x_test, "test inputs")
    data = Arrays(data.x_train, data.y_train, held_out, data.y_test, data.source)
    found = task.measure(network, interface, data)
    parameters = sum(array.size for array in network.parameters.values())
    return Row(name, parameters, data.source, goal, task.measure, found, seconds)


def _own_data(kind: str, interface: ModelInterface) -> Arrays:
    """Data that are not made of images."""
    if kind == TEXT:
        return read_text(ROOT, interface.input_shape[0])
    return to_be_sorted(interface.input_shape[0], interface.output_shape[-1])


def render(rows: Iterable[Row]) -> str:
    """A table of Markdown."""
    lines = [
        "| model | parameters | data | epochs | result on held-out data | stated result | | seconds |",
        "|---|---:|---|---:|---|---|---|---:|",
    ]
    for row in rows:
        stated = MEASURES[row.measure][0].format(row.goal.result)
        lines.append(
            f"| {row.model} | {row.parameters:,} | {row.data} | {row.goal.epochs} | {row.found.text} "
            f"| {stated} | {'reached' if row.reached else 'NOT REACHED'} | {row.seconds:.0f} |"
        )
    return "\n".join(lines)


def parse_models(text: str) -> list[str]:
    """Models by name."""
    unknown = [name for name in text.split(",") if name not in TASKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(TASKS)}")
    return text.split(",")


def find_module(name: str) -> ModuleType:
    """The generated module of a model; says how to make it if there is none."""
    try:
        return importlib.import_module(f"generated.{name}")
    except ModuleNotFoundError:
        sys.exit(f"error: generated/{name} is missing: chainrule compile models/{name}.py")


def main(arguments: list[str] | None = None) -> int:
    """Train and print; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=parse_models, default=list(TASKS), help="names, with commas (all)")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and dropout (0)")
    parser.add_argument("--data", help="folder with the four MNIST files (or set MNIST_DIR)")
    parser.add_argument("--write", action="store_true", help="put the table into docs/models.md")
    parser.add_argument("--list-models", action="store_true", help="print the model files and train nothing")
    options = parser.parse_args(arguments)
    if options.list_models:
        print("\n".join(f"models/{name}.py" for name in options.models))
        return 0
    if options.write and options.models != list(TASKS):
        parser.error("--write puts the whole table into the document: it goes with all models")
    kind, images = load_images(options.data)
    if kind == DIGITS:
        print(NOT_MNIST)
    rows = []
    for name in options.models:
        rows.append(run_task(name, find_module(name), kind, images, options.seed))
        print(f"{name}: {rows[-1].found.text}, {rows[-1].seconds:.0f} s", file=sys.stderr, flush=True)
    table = f"Seed {options.seed}.\n\n{render(rows)}"
    print(table)
    if options.write:
        write_into(DOCUMENT, table)
    missed = [row.model for row in rows if not row.reached]
    if missed:
        print(f"error: not reached: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ChainruleRuntimeError as error:
        sys.exit(f"error: {error}")
