"""`diagnose`: what goes on inside a network in its first updates, and what is wrong with it."""

from __future__ import annotations

import argparse
from types import ModuleType

from runtime.border import SUCCESS, guarded
from runtime.commands.data import load_data
from runtime.commands.output import remark, say
from runtime.commands.trained import data_behind, load_asked
from runtime.diagnosis import Diagnose
from runtime.errors import TrainingError
from runtime.given import examples_of
from runtime.history import check_plotting
from runtime.interface import ModelInterface
from runtime.trainer import fit


def diagnose(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Print measures by layer and findings in words; returns the exit code."""
    return guarded(lambda: _diagnose(arguments, module))


def _diagnose(arguments: argparse.Namespace, module: ModuleType) -> int:
    if "diagnose" not in getattr(module, "MODES", ()):
        raise TrainingError(
            "this module cannot look into itself",
            advice="chainrule compile MODEL --modes diagnose, or chainrule diagnose MODEL",
        )
    interface = ModelInterface.of_module(module)
    if arguments.plot is not None:
        check_plotting()
    known = data_behind(arguments.weights) if arguments.weights else None
    data, _ = load_data(arguments, interface, known)
    network = module.Network(seed=arguments.seed, threads=arguments.threads)
    load_asked(arguments, network)
    if arguments.learning_rate is not None:
        network.learning_rate = arguments.learning_rate
    say(arguments, "data", f"data: {data.source}", source=data.source)
    watch = Diagnose(data.x_train, data.y_train, every=arguments.every)
    try:
        for begin in range(0, arguments.steps, max(1, -(-examples_of(data.x_train) // arguments.batch_size))):
            fit(
                network,
                data.x_train,
                data.y_train,
                batch_size=arguments.batch_size,
                steps_per_epoch=arguments.steps - begin,
                shuffle_seed=arguments.seed + begin,
                callbacks=[watch],
                verbose=0,
                interface=interface,
            )
    except TrainingError as error:
        remark(f"note: {error.message}")
    if arguments.plot is not None:
        watch.diagnosis.plot(arguments.plot)
        say(arguments, "drawn", f"plot: {arguments.plot}", plot=arguments.plot)
    say(arguments, "diagnosis", str(watch.diagnosis), **watch.diagnosis.to_json())
    return SUCCESS
