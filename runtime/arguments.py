"""The options of the commands that use a module."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

from runtime.defaults import EVALUATION_BATCH_SIZE, TRAIN_BATCH_SIZE
from runtime.distributed.ranks import Ranks

EPOCHS = 12
MAXIMUM_SEED = 2**63 - 1


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `train`."""
    _add_common_arguments(parser)
    parser.add_argument(
        "--epochs", type=positive_number, default=EPOCHS, help="epochs in all (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        help=f"samples per update (default: {TRAIN_BATCH_SIZE}, or as resumed)",
    )
    parser.add_argument(
        "--seed", type=seed, help="seed of weights, order and dropout (default: 0, or as resumed)"
    )
    parser.add_argument(
        "--learning-rate", type=learning_rate, metavar="RATE", help="default: the model's own, or as resumed"
    )
    parser.add_argument(
        "--accumulate",
        type=positive_number,
        metavar="N",
        help="update by the mean gradient of so many batches (default: 1, or as resumed)",
    )
    parser.add_argument(
        "--ema",
        type=decay,
        metavar="DECAY",
        help="keep moving averages of the weights, such as 0.999, and evaluate these (default: as resumed)",
    )
    parser.add_argument(
        "--augment",
        metavar="HOW",
        help="change the images in each epoch, as in shift=0.1,rotate=10,zoom=0.1,flip,noise=0.02,cutout=0.3",
    )
    earlier = parser.add_mutually_exclusive_group()
    earlier.add_argument(
        "--resume", metavar="PATH", help="go on from the weights file of an earlier run, exactly"
    )
    earlier.add_argument(
        "--init-from", metavar="PATH", help="begin a new run with what fits of the weights in a file"
    )
    parser.add_argument(
        "--force",
        dest="resume_anyway",  # the compiler's option of that name is another
        action="store_true",
        help="resume even where the bits will not be those of one long run",
    )
    parser.add_argument(
        "--save-every",
        type=positive_number,
        metavar="BATCHES",
        help="save after so many batches too, in the middle of an epoch (default: after each epoch)",
    )
    parser.add_argument(
        "--plot",
        nargs="?",
        const="",
        metavar="PNG",
        help="draw the history after each epoch (default: beside the weights file)",
    )
    parser.add_argument(
        "--ranks",
        choices=get_args(Ranks),
        default="ordered",
        help="with mpiexec: add up in a fixed order, with the bits of one process; in any order; with "
        "statistics of BatchNormalization of each process's part of a batch; or train in each process by "
        "itself",
    )
    parser.add_argument("--no-save", action="store_true", help="do not write a weights file")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace weights of another model or of other data"
    )


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `evaluate`."""
    _add_common_arguments(parser)
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        default=EVALUATION_BATCH_SIZE,
        help="samples at a time (default: %(default)s)",
    )


def add_predict_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `predict`."""
    add_evaluate_arguments(parser)
    parser.add_argument(
        "images",
        nargs="*",
        metavar="IMAGE",
        help="images, folders of images, .npy files, tables; none: the test data. A folder of folders says "
        "by their names what its images are, a table by the column of its labels",
    )
    parser.add_argument(
        "--invert", action="store_true", help="for dark drawings on white: swap dark and light"
    )
    parser.add_argument(
        "--worst",
        nargs="?",
        const="worst.png",
        metavar="PNG",
        help="draw the worst mistakes (worst.png), and print which classes are taken for which",
    )


def add_find_rate_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `find-lr`."""
    _add_common_arguments(parser)
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        default=TRAIN_BATCH_SIZE,
        help="samples per update (%(default)s)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of weights, order and dropout (0)")
    parser.add_argument("--from", dest="lowest", type=learning_rate, default=1e-6, help="first rate (1e-6)")
    parser.add_argument("--to", dest="highest", type=learning_rate, default=10.0, help="last rate (10)")
    parser.add_argument("--steps", type=positive_number, default=100, help="updates at most (%(default)s)")
    parser.add_argument("--plot", metavar="PNG", help="draw the losses over the rates")


def add_diagnose_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `diagnose`."""
    _add_common_arguments(parser)
    parser.add_argument(
        "--batch-size",
        type=positive_number,
        default=TRAIN_BATCH_SIZE,
        help="samples per update (%(default)s)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of weights, order and dropout (0)")
    parser.add_argument(
        "--learning-rate", type=learning_rate, metavar="RATE", help="default: the model's own"
    )
    parser.add_argument("--steps", type=positive_number, default=100, help="updates (%(default)s)")
    parser.add_argument("--every", type=positive_number, default=10, help="measure before so many (10)")
    parser.add_argument(
        "--plot",
        nargs="?",
        const="diagnosis.png",
        metavar="PNG",
        help="draw it, over depth and over time (diagnosis.png)",
    )


@dataclass(frozen=True)
class Command:
    """A command that uses a module, before anything is imported that takes time."""

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    mode: str | None = None
    """The mode that the module must be compiled with."""


COMMANDS = (
    Command("train", "train a model", add_train_arguments),
    Command("evaluate", "measure saved weights on the test data", add_evaluate_arguments),
    Command("predict", "say what images show, or where the model is wrong", add_predict_arguments),
    Command("find-lr", "find a learning rate to begin with", add_find_rate_arguments),
    Command("diagnose", "look into the layers while the model trains", add_diagnose_arguments, "diagnose"),
)
"""What they do stands in `runtime.commands.table`."""


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse a command line whose images may stand behind options too.

    argparse gives positional arguments out where the first of them stand; of a command inside a parser it
    cannot be told to wait. What it leaves over are images, if the command takes any.
    """
    parsed, left = parser.parse_known_args(arguments)
    if left and (not hasattr(parsed, "images") or any(text.startswith("-") for text in left)):
        parser.error(f"unrecognized arguments: {' '.join(left)}")
    if left:
        parsed.images = [*parsed.images, *left]
    return parsed


def _add_common_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        metavar="PATH",
        help="folder with the four MNIST files, with images by class, or with x_train.npy, y_train.npy, "
        "x_test.npy, y_test.npy; a .npz with these; a CSV or Parquet file; for a model of characters, a text "
        "or a folder of texts",
    )
    parser.add_argument("--resize", action="store_true", help="scale images to the size that the model takes")
    parser.add_argument("--offline", action="store_true", help="never download; use what is here")
    parser.add_argument(
        "--weights",
        metavar="PATH",
        help="weights file (default: weights/MODEL.safetensors; for the embedded digits MODEL-digits)",
    )
    parser.add_argument(
        "--threads", type=positive_number, help="number of threads; the results do not depend on it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument("--quiet", action="store_true", help="no progress")


def wrong_environment() -> str | None:
    """What is wrong with the variables that stand in for options, in words; None if nothing is."""
    given = os.environ.get("CHAINRULE_THREADS", "").strip()
    text = given.partition(",")[0].strip()  # OpenMP's own variable may say more, and so may this one
    if given and not (text.isdecimal() and int(text) > 0):
        return f"the variable CHAINRULE_THREADS must be a number of threads, 1 or more, not {given!r}"
    return None


# argparse puts the names of the functions below into its messages, so they read as words.


def positive_number(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, not {value}")
    return value


def seed(text: str) -> int:
    value = int(text)
    if not 0 <= value <= MAXIMUM_SEED:
        raise argparse.ArgumentTypeError(f"must be from 0 to {MAXIMUM_SEED}, not {value}")
    return value


def decay(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"must be from 0 to below 1, not {text}")
    return value


def learning_rate(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"must be a positive number, not {text}")
    return value
