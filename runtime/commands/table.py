"""What the commands do that use a module: each looks at the files that its options name, then runs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from types import ModuleType

from runtime.cli import check_evaluate_files, check_train_files, evaluate, first_builds, train
from runtime.commands.diagnose import diagnose
from runtime.commands.find_rate import find_rate
from runtime.commands.predict import check_predict_files, predict


@dataclass(frozen=True)
class Command:
    """`check` raises DataError and WeightsError before there is a module; `run` returns the exit code."""

    check: Callable[[argparse.Namespace], None]
    run: Callable[[argparse.Namespace, ModuleType], int]
    building: Callable[[argparse.Namespace], AbstractContextManager[None]] = lambda arguments: nullcontext()
    """What is around the building of the module."""


RUNS = {
    "train": Command(check_train_files, train, first_builds),
    "evaluate": Command(check_evaluate_files, evaluate),
    "predict": Command(check_predict_files, predict),
    "find-lr": Command(check_evaluate_files, find_rate),
    "diagnose": Command(check_evaluate_files, diagnose),
}
"""By the names of `runtime.arguments.COMMANDS`."""
