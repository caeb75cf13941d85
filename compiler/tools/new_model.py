"""`chainrule new NAME`: a model file to start from, with the command that trains it in its first lines."""

from __future__ import annotations

import os
from pathlib import Path

from compiler.errors import ModelError, Problem
from compiler.language.description import module_name

IMAGES = '''"""A convolutional network for grey images of 28 x 28 pixels.

    chainrule train {file}                    on MNIST, which is downloaded
    chainrule train {file} --data FOLDER      on images in a folder for each class
    chainrule predict {file} IMAGE
"""

from chainrule import Adam, Conv2D, CrossEntropy, Dense, Dropout, Flatten, Input, MaxPool2D
from chainrule import Sequential, Softmax

CLASSES = 10

model = Sequential(
    [
        Input(28, 28, 1),
        Conv2D(16, 3, activation="relu"),
        MaxPool2D(2),
        Conv2D(32, 3, activation="relu"),
        MaxPool2D(2),
        Flatten(),
        Dropout(0.5),
        Dense(CLASSES),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
'''
TABLE = '''"""A network for the rows of a table, one column of which says what class a row is of.

    chainrule train {file} --data FILE.csv    the label is the column "label", or the last
    chainrule diagnose {file} --data FILE.csv
"""

from chainrule import Adam, BatchNormalization, CrossEntropy, Dense, Input, Sequential, Softmax

FEATURES = 4
CLASSES = 3

model = Sequential(
    [
        Input(FEATURES),
        BatchNormalization(),
        Dense(32, activation="relu"),
        Dense(32, activation="relu"),
        Dense(CLASSES),
        Softmax(),
    ],
    loss=CrossEntropy(),
    optimizer=Adam(1e-3),
)
'''
KINDS = {"images": IMAGES, "table": TABLE}


def write_model(name: str, kind: str) -> Path:
    """Write NAME.py, a model file of a kind of `KINDS`. Raises ModelError, for a file that is there too."""
    path = Path(name if name.endswith(".py") else f"{name}.py")
    if path.stem != module_name(path):
        raise ModelError(
            Problem(
                f"{path} cannot be the name of a model file",
                expected="a name that Python can import, and that is not one of its own",
                found=path.stem,
                advice=f"chainrule new {module_name(path)}",
            )
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as handle:
            handle.write(KINDS[kind].format(file=path.as_posix()))
    except FileExistsError as error:
        found = f"{os.path.getsize(path):,} bytes"
        raise ModelError(
            Problem(f"there is a {path} already, and it stays as it is", found=found, advice="another name")
        ) from error
    return path
