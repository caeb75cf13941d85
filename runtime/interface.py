"""What a generated module declares about itself, and whether given arrays agree with it."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from runtime.errors import DataError, InterfaceError

CONSTANTS = ("INPUT_SHAPE", "OUTPUT_SHAPE", "LABEL_KIND", "DTYPE", "MODEL_NAME", "MODEL_HASH")
SHOWN_LABELS = 5


@dataclass(frozen=True)
class ModelInterface:
    """The constants of a generated module. Shapes are those of one sample, without the batch axis.

    `label_kind` is "index" (integer labels, counting from 0, of shape `output_shape[:-1]`) or "real"
    (targets of shape `output_shape`). `input_limit` is given where inputs are integers in [0, input_limit).
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    label_kind: str
    dtype: np.dtype
    name: str
    hash: str
    input_limit: int | None = None

    @classmethod
    def of_module(cls, module: ModuleType) -> ModelInterface:
        """Read the constants of a generated module. Raises InterfaceError when some are missing."""
        missing = [constant for constant in (*CONSTANTS, "Network") if not hasattr(module, constant)]
        if missing:
            raise InterfaceError(
                f"{getattr(module, '__name__', module)!s} is not a module that chainrule generated",
                expected="the names " + ", ".join((*CONSTANTS, "Network")),
                found="no " + ", ".join(missing),
                advice="compile the model again",
            )
        return cls(
            tuple(module.INPUT_SHAPE),
            tuple(module.OUTPUT_SHAPE),
            module.LABEL_KIND,
            np.dtype(module.DTYPE),
            module.MODEL_NAME,
            module.MODEL_HASH,
            getattr(module, "INPUT_LIMIT", None),
        )

    @classmethod
    def of_network(cls, network: Any) -> ModelInterface:
        """Read the constants of the imported module that `network` comes from. Raises InterfaceError.

        A compiled class does not know the package that its module was imported from, hence the search.
        """
        modules = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
        for ancestor in type(network).__mro__[:-1]:
            for module in modules:
                if vars(module).get("Network") is ancestor:
                    return cls.of_module(module)
        raise InterfaceError(
            f"no imported module has the class {type(network).__name__!r} of this network as its Network",
            advice="import the generated module, or pass interface=ModelInterface.of_module(module)",
        )

    @property
    def classes(self) -> int | None:
        """The number of classes of a classifier; None when the targets are real numbers."""
        return self.output_shape[-1] if self.label_kind == "index" else None

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of the target of one sample."""
        return self.output_shape[:-1] if self.label_kind == "index" else self.output_shape

    def fit_inputs(self, x: np.ndarray, what: str) -> np.ndarray:
        """`x` (N, …) as (N, *input_shape): flattened, or with a channel axis of extent 1 added or dropped.

        Nothing is copied. `what` names the array in messages. Raises DataError when the shapes differ in any
        other way.
        """
        sample = x.shape[1:]
        flattens = self.input_shape == (math.prod(sample),)
        same_but_for_ones = _without_ones(sample) == _without_ones(self.input_shape)
        if x.ndim < 1 or not (flattens or same_but_for_ones):
            raise DataError(
                f"the {what} do not fit the model {self.name!r}",
                expected=f"samples of shape {self.input_shape}",
                found=f"samples of shape {sample}",
                advice="use a data set of this shape, or change the input of the model and compile it again",
            )
        return x.reshape(len(x), *self.input_shape)

    def convert(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of any kind as a Network takes them: x and y, copied only where their dtypes are others.

        For a model of real inputs, integers (but uint8, bytes that are scaled to [0, 1]) and booleans become
        numbers of the model's dtype, as they are; so do the booleans of real targets. Classes and indices are
        left to `check_pair`, which says what is wrong with them.
        """
        if self.input_limit is None and x.dtype.kind in "biu" and x.dtype != np.uint8:
            x = x.astype(self.dtype)
        if self.label_kind == "real" and y.dtype.kind == "b":
            y = y.astype(self.dtype)
        return x, y

    def check_pair(self, x: np.ndarray, y: np.ndarray, what: str) -> None:
        """Check that `x` (N, *input_shape) and `y` (N, *label_shape) can be trained on. Raises DataError.

        Class labels must be integers from 0 to `classes` - 1. Real inputs are floats or uint8, real targets
        floats or integers; `convert` makes such of other numbers.
        """
        if x.shape[1:] != self.input_shape or x.ndim < 1:
            raise DataError(
                f"the {what} inputs do not fit the model {self.name!r}",
                expected=f"shape (N, {', '.join(map(str, self.input_shape))})",
                found=f"shape {x.shape}",
            )
        if y.shape[1:] != self.label_shape or y.ndim < 1:
            raise DataError(
                f"the {what} labels do not fit the model {self.name!r}",
                expected=f"shape {('N', *self.label_shape)}".replace("'", ""),
                found=f"shape {y.shape}",
            )
        if len(x) != len(y):
            raise DataError(
                f"the {what} inputs and labels do not belong together",
                expected="as many labels as inputs",
                found=f"{len(x):,} inputs and {len(y):,} labels",
            )
        if len(x) == 0:
            raise DataError(f"the {what} data are empty", expected="one sample or more", found="none")
        _check_unmasked(x, f"{what} inputs")
        _check_unmasked(y, f"{what} labels")
        if self.input_limit is not None:
            self._check_integers(x, self.input_limit, f"{what} inputs")
        elif x.dtype != np.uint8 and x.dtype.kind != "f":
            raise DataError(
                f"the {what} inputs are not numbers that the model {self.name!r} takes",
                expected=f"{self.dtype}, another float, or uint8, which is scaled to [0, 1]",
                found=str(x.dtype),
                advice=f"x.astype('uint8') for pixels, or x.astype('{self.dtype}') for numbers as they are",
            )
        if self.label_kind == "index":
            advice = "one-hot labels become class numbers with y.argmax(axis=-1), booleans with y.astype(int)"
            self._check_integers(y, self.classes, f"{what} labels", advice)
        elif y.dtype.kind not in "fiu":
            raise DataError(
                f"the {what} labels are not numbers that the model {self.name!r} takes",
                expected=f"{self.dtype}, another float, or integers",
                found=str(y.dtype),
                advice=f"y.astype('{self.dtype}')",
            )

    def _check_integers(self, values: np.ndarray, limit: int, what: str, advice: str | None = None) -> None:
        if values.dtype.kind not in "iu":
            raise DataError(
                f"the {what} are not class numbers",
                expected="an integer dtype",
                found=str(values.dtype),
                advice=advice,
            )
        wrong = (values < 0) | (values >= limit)
        if wrong.any():
            found = np.unique(values[wrong])
            shown = ", ".join(map(str, found[:SHOWN_LABELS])) + (", …" if len(found) > SHOWN_LABELS else "")
            first = int(np.argwhere(wrong)[0][0])
            raise DataError(
                f"the {what} do not fit the model {self.name!r}",
                expected=f"whole numbers from 0 to {limit - 1}",
                found=f"{shown} ({int(wrong.sum()):,} {what.split()[-1]}; the first at sample {first})",
            )


def _check_unmasked(values: np.ndarray, what: str) -> None:
    """What lies under a mask would be trained on. Raises DataError when something does."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(
            f"some of the {what} are masked",
            expected="numbers; there is no arithmetic with masks here",
            found=f"{np.ma.count_masked(values):,} of {values.size:,} values masked",
            advice="put numbers there with filled(value), or leave these samples out",
        )


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(extent for extent in shape if extent != 1)
