"""`find-lr`: a learning rate to begin with; weights and files stay as they are."""

from __future__ import annotations

import argparse
from types import ModuleType

from runtime.border import SUCCESS, guarded
from runtime.commands.data import load_data
from runtime.commands.output import say
from runtime.commands.trained import data_behind, load_asked
from runtime.finding import RateSearch, find_learning_rate
from runtime.history import check_plotting
from runtime.interface import ModelInterface

ROWS = 15
BAR = 40


def find_rate(arguments: argparse.Namespace, module: ModuleType) -> int:
    """Print the losses over learning rates and a suggestion; returns the exit code."""
    return guarded(lambda: _find_rate(arguments, module))


def _find_rate(arguments: argparse.Namespace, module: ModuleType) -> int:
    interface = ModelInterface.of_module(module)
    if arguments.plot:
        check_plotting()
    known = data_behind(arguments.weights) if arguments.weights else None
    data, _ = load_data(arguments, interface, known)
    network = module.Network(seed=arguments.seed, threads=arguments.threads)
    load_asked(arguments, network)
    say(arguments, "data", f"data: {data.source}", source=data.source)
    found = find_learning_rate(
        network,
        data.x_train,
        data.y_train,
        batch_size=arguments.batch_size,
        lowest=arguments.lowest,
        highest=arguments.highest,
        steps=arguments.steps,
        interface=interface,
    )
    ending = "then it diverged" if found.diverged else "without diverging"
    text = f"{_table(found)}\nlowest loss at {found.lowest:.2g}, {ending}; to begin with: --learning-rate "
    text += f"{found.suggestion:.2g}"
    facts = {"rates": found.rates, "losses": found.losses, "diverged": found.diverged}
    say(arguments, "learning rate", text, suggestion=found.suggestion, lowest=found.lowest, **facts)
    if arguments.plot:
        found.plot(arguments.plot)
        say(arguments, "drawn", f"plot: {arguments.plot}", plot=arguments.plot)
    return SUCCESS


def _table(found: RateSearch) -> str:
    """Some of the rates with their losses, as bars."""
    most = max(found.losses)
    every = max(1, -(-len(found.rates) // ROWS))
    rows = list(zip(found.rates, found.losses, strict=True))[::every]
    bars = (
        f"{rate:10.2e} {loss:10.4f}  {'█' * max(1, round(BAR * loss / max(most, 1e-30)))}"
        for rate, loss in rows
    )
    return "\n".join([f"{'rate':>10} {'loss':>10}", *bars])
