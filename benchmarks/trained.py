"""Train every model of `models/` at its full size, each to a stated result.

    python -m benchmarks.trained --models resnet8,transformer --seed 1

`make trained` does it, and compiles the models before. Data are MNIST where it lies on this machine, else the
digits that come with the project, and the project's own text. The exit code is 1 if a result is not reached.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.report import write_into
from benchmarks.taking_turns import take_turns
from benchmarks.trained_data import (
    DIGITS,
    MNIST,
    NOT_MNIST,
    alike_or_not,
    by_rows,
    in_colour,
    in_pairs,
    load_images,
    on_a_ring,
    on_a_rod,
    read_text,
    reconstructed,
    to_be_sorted,
    without_labels,
)
from benchmarks.trained_measures import (
    MEASURES,
    Measure,
    Measured,
    accuracy,
    bits,
    different_accuracy,
    error_of_mean,
    miss,
    nats,
    spread,
    total_accuracy,
)
from runtime.callbacks import LearningRateScheduler
from runtime.data import Arrays
from runtime.errors import ChainruleRuntimeError
from runtime.interface import ModelInterface
from runtime.trainer import fit

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "models.md"


@dataclass(frozen=True)
class Goal:
    """How long a model is trained on some data, and what it must then reach."""

    epochs: int
    result: float
    batch_size: int = 128


def by_fit(networks: Sequence[Any], interface: ModelInterface, data: Arrays, goal: Goal) -> None:
    """A network by itself.

    The rate falls from the model's own, by the same amount after every epoch: results at a constant rate
    differ by whole points from one epoch to the next.
    """
    (network,) = networks
    own_rate = network.learning_rate
    fit(
        network,
        interface.fit_inputs(data.x_train, "training inputs"),
        data.y_train,
        batch_size=goal.batch_size,
        epochs=goal.epochs,
        callbacks=[LearningRateScheduler(lambda epoch, _: own_rate * (1 - epoch / goal.epochs))],
        verbose=0,
        interface=interface,
    )


def by_turns(networks: Sequence[Any], interface: ModelInterface, data: Arrays, goal: Goal) -> None:
    """A generator and the network that judges what it makes."""
    take_turns(*networks, data.x_train, interface.input_shape, epochs=goal.epochs, batch_size=goal.batch_size)


@dataclass(frozen=True)
class Task:
    """What a model has to learn, and a goal for each kind of images.

    Its data are images in the `form` that it takes, or its `own`. `others` are models that are trained with
    it, `modes` what it is compiled with.
    """

    goals: Mapping[str, Goal]
    measure: Measure = accuracy
    form: Callable[[Arrays], Arrays] = lambda images: images
    own: Callable[[ModelInterface], Arrays] | None = None
    train: Callable[[Sequence[Any], ModelInterface, Arrays, Goal], None] = by_fit
    others: tuple[str, ...] = ()
    modes: str = ""


def on_digits(mnist: Goal, digits: Goal, **rest: Any) -> Task:
    return Task({MNIST: mnist, DIGITS: digits}, **rest)


def on_its_own(own: Callable[[ModelInterface], Arrays], goal: Goal, **rest: Any) -> Task:
    """The same whatever images there are."""
    return Task({MNIST: goal, DIGITS: goal}, own=own, **rest)


def text(interface: ModelInterface) -> Arrays:
    return read_text(ROOT, interface.input_shape[0])


def sequences(interface: ModelInterface) -> Arrays:
    return to_be_sorted(interface.input_shape[0], interface.output_shape[-1])


TASKS = {
    "mlp": on_digits(Goal(10, 97), Goal(20, 95, 32)),
    "lenet5": on_digits(Goal(8, 97.5), Goal(15, 95, 32)),
    "mnist": on_digits(Goal(12, 98.7), Goal(12, 95, 32)),
    "autoencoder": on_digits(Goal(6, 0.12), Goal(30, 0.1, 32), measure=error_of_mean, form=reconstructed),
    "resnet_small": on_digits(Goal(6, 96.5), Goal(20, 93, 32)),
    "resnet8": on_digits(Goal(5, 95.5), Goal(30, 60, 32), form=in_colour),
    "mobilenet_small": on_digits(Goal(8, 97), Goal(20, 94, 32)),
    "transformer": on_its_own(text, Goal(8, 2.5), measure=bits),
    "language": on_its_own(text, Goal(1, 2.45, 64), measure=bits),
    "sorting": on_its_own(sequences, Goal(5, 99)),
    "lstm": on_digits(Goal(40, 95), Goal(40, 90, 32), form=by_rows),
    "pairs": on_digits(Goal(10, 90), Goal(40, 50, 32), measure=total_accuracy, form=in_pairs),
    "siamese": on_digits(Goal(10, 96.5), Goal(40, 92, 32), measure=different_accuracy, form=alike_or_not),
    "vae": on_digits(Goal(10, 120), Goal(40, 300, 32), measure=nats, form=without_labels),
    "gan": on_its_own(
        on_a_ring,
        Goal(40, 88),
        measure=spread,
        train=by_turns,
        others=("gan_discriminator",),
        modes="pullback",
    ),
    "heat": on_its_own(on_a_rod, Goal(20, 0.003), measure=miss),
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

    Raises ChainruleRuntimeError.
    """
    task, interface = TASKS[name], ModelInterface.of_module(module)
    goal = task.goals[kind]
    data = task.form(images) if task.own is None else task.own(interface)
    networks = [of.Network(seed=seed) for of in (module, *map(find_module, task.others))]
    start = time.process_time()
    task.train(networks, interface, data, goal)
    seconds = time.process_time() - start
    held_out = interface.fit_inputs(data.x_test, "test inputs")
    found = task.measure(networks[0], interface, replace(data, x_test=held_out))
    parameters = sum(array.size for network in networks for array in network.parameters.values())
    return Row(name, parameters, data.source, goal, task.measure, found, seconds)


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


def to_compile(models: Iterable[str]) -> list[str]:
    """What `chainrule compile` is told for each module of some tasks."""
    lines = []
    for name in models:
        modes = f" --modes {TASKS[name].modes}" if TASKS[name].modes else ""
        lines += [f"models/{name}.py{modes}", *(f"models/{other}.py" for other in TASKS[name].others)]
    return lines


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
    parser.add_argument(
        "--list-models",
        action="store_true",
        help="print the model files, each with its modes, and train nothing",
    )
    options = parser.parse_args(arguments)
    if options.list_models:
        print("\n".join(to_compile(options.models)))
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
