"""What a generated module declares about itself, and whether given arrays agree with it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from runtime.counting import Counting, where_real
from runtime.errors import DataError, InterfaceError
from runtime.given import Arrays, Given, by_key, other_length
from runtime.on_demand import OnDemand

CONSTANTS = ("INPUT_SHAPE", "OUTPUT_SHAPE", "LABEL_KIND", "DTYPE", "MODEL_NAME", "MODEL_HASH")
SEVERAL = ("INPUTS", "LABELS", "OUTPUTS", "LOSSES", *CONSTANTS[3:])
"""What a module has in place of the first of these when there is not one of each."""
ONE_HOT = "one-hot labels become class numbers with y.argmax(axis=-1)"
NAMES_OF_CLASSES = "names of classes become numbers with np.unique(y, return_inverse=True)"
SHOWN_LABELS = 5


@dataclass(frozen=True)
class ModelInterface:
    """The constants of a generated module. Shapes are those of one sample, without the batch axis.

    `label_kind` is "index" (integer labels, counting from 0, of shape `output_shape[:-1]`) or "real"
    (targets of shape `output_shape`). `input_limit` is given where inputs are integers in [0, input_limit).
    `inputs` and `labels` are all that a network is given; the fields before speak of the first of them.
    `losses` are the names of losses whose values a step gives beside their sum.
    """

    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    label_kind: str
    dtype: np.dtype
    name: str
    hash: str
    input_limit: int | None = None
    inputs: tuple[Given, ...] = ()
    labels: tuple[Given, ...] | None = None
    losses: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("output",)
    numbers: tuple[str, ...] = ()
    """Metrics that are one number, by their names."""
    weighted: bool = False
    """Whether a network takes `sample_weight`."""
    counted: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """Of several losses those that are means over labels some of which count for nothing: the name of these
    labels, and the weight of the loss in the sum of all."""

    def __post_init__(self) -> None:
        if not self.inputs:
            kind = "real" if self.input_limit is None else "index"
            one = Given("input", self.input_shape, kind, self.input_limit)
            object.__setattr__(self, "inputs", (one,))
        if self.labels is None:
            limit = self.output_shape[-1] if self.label_kind == "index" else None
            shape = self.output_shape[:-1] if self.label_kind == "index" else self.output_shape
            object.__setattr__(self, "labels", (Given("label", shape, self.label_kind, limit),))

    @classmethod
    def of_module(cls, module: ModuleType) -> ModelInterface:
        """Read the constants of a generated module. Raises InterfaceError when some are missing."""
        constants = SEVERAL if hasattr(module, "INPUTS") else CONSTANTS
        missing = [constant for constant in (*constants, "Network") if not hasattr(module, constant)]
        if missing:
            raise InterfaceError(
                f"{getattr(module, '__name__', module)!s} is not a module that chainrule generated",
                expected="the names " + ", ".join((*constants, "Network")),
                found="no " + ", ".join(missing),
                advice="compile the model again",
            )
        if constants is SEVERAL:
            return cls._of_several(module)
        return cls(
            tuple(module.INPUT_SHAPE),
            tuple(module.OUTPUT_SHAPE),
            module.LABEL_KIND,
            np.dtype(module.DTYPE),
            module.MODEL_NAME,
            module.MODEL_HASH,
            getattr(module, "INPUT_LIMIT", None),
            # Older modules and those of tests say less.
            labels=(Given.of_module(module, "label", "LABEL"),) if hasattr(module, "LABEL_SHAPE") else None,
            numbers=tuple(name for name, shape in getattr(module, "METRICS", {}).items() if shape == ()),
            weighted=hasattr(module, "SAMPLE_WEIGHT_SHAPE"),
        )

    @classmethod
    def _of_several(cls, module: ModuleType) -> ModelInterface:
        """Of a module that says what it is given and gives, each by its name."""
        inputs, labels = (
            tuple(Given.of_module(module, key, constant) for key, constant in names.items())
            for names in (module.INPUTS, module.LABELS)
        )
        outputs = tuple(module.OUTPUTS)
        return cls(
            inputs[0].shape,
            tuple(getattr(module, f"{module.OUTPUTS[outputs[0]]}_SHAPE")),
            labels[0].kind if labels else "real",
            np.dtype(module.DTYPE),
            module.MODEL_NAME,
            module.MODEL_HASH,
            inputs[0].limit,
            inputs=inputs,
            labels=labels,
            losses=tuple(module.LOSSES),
            outputs=outputs,
            numbers=tuple(name for name, shape in getattr(module, "METRICS", {}).items() if shape == ()),
            weighted=hasattr(module, "SAMPLE_WEIGHT_SHAPE"),
            counted=getattr(module, "COUNTED_LOSSES", {}),
        )

    @classmethod
    def of_network(cls, network: Any) -> ModelInterface:
        """Read the constants of the module that `network` comes from. Raises InterfaceError.

        The methods of a compiled class know their module, which need not have been imported by a name; other
        classes are looked for in the modules that were.
        """
        modules = [module for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
        for ancestor in type(network).__mro__[:-1]:
            facts = getattr(vars(ancestor).get("train_step"), "__globals__", {})
            if facts.get("Network") is ancestor:
                return cls.of_module(SimpleNamespace(**facts))
            for module in modules:
                if vars(module).get("Network") is ancestor:
                    return cls.of_module(module)
        raise InterfaceError(
            f"no imported module has the class {type(network).__name__!r} of this network as its Network",
            advice="import the generated module, or pass interface=ModelInterface.of_module(module)",
        )

    @property
    def classes(self) -> int | None:
        """The number of classes of a classifier; None when the targets are real numbers, or there are several
        outputs or labels."""
        if len(self.labels) != 1 or len(self.outputs) != 1 or self.label_kind != "index":
            return None
        fits = (
            self.labels[0].shape == self.output_shape[:-1] and self.labels[0].limit == self.output_shape[-1]
        )
        return self.output_shape[-1] if fits else None

    @property
    def counting(self) -> Counting:
        """What the loss is the mean of: examples, where there are several losses with means of their own."""
        if len(self.labels) != 1 or len(self.losses) > 1:
            return Counting()
        return Counting(self.labels[0].ignored, self.inputs, self.labels[0].real)

    @property
    def label_shape(self) -> tuple[int, ...]:
        """The shape of the target of one sample; of the first, where there are several."""
        return self.labels[0].shape if self.labels else ()

    def fit_inputs(self, x: Arrays, what: str) -> Arrays:
        """`x` (N, …) as (N, *input_shape): flattened, or with a channel axis of extent 1 added or dropped.

        Nothing is copied. `what` names the array in messages. Raises DataError when the shapes differ in any
        other way. Several inputs must have their shapes.
        """
        if len(self.inputs) > 1:
            return by_key(x, self.inputs, what)
        sample = x.shape[1:]
        flattens = self.input_shape == (math.prod(sample),)
        same_but_for_ones = without_ones(sample) == without_ones(self.input_shape)
        if x.ndim < 1 or not (flattens or same_but_for_ones):
            raise DataError(
                f"the {what} do not fit the model {self.name!r}",
                expected=f"samples of shape {self.input_shape}",
                found=f"samples of shape {sample}",
                advice="use a data set of this shape, or change the input of the model and compile it again",
            )
        return x.reshape(len(x), *self.input_shape)

    def convert(self, x: Arrays, y: Arrays) -> tuple[Arrays, Arrays]:
        """Numbers of any kind as a Network takes them: x and y, copied only where their dtypes are others.

        For a model of real inputs, integers (but uint8, bytes that are scaled to [0, 1]) and booleans become
        numbers of the model's dtype, as they are; so do the booleans of real targets. Classes and indices are
        left to `check_pair`, which says what is wrong with them.
        """
        return self._converted(x, self.inputs, "biu"), self._converted(y, self.labels, "b")

    def _converted(self, given: Arrays, expected: Sequence[Given], kinds: str) -> Arrays:
        """Reals of these kinds of dtype made the model's; bytes that are inputs stay."""

        def converted(array: np.ndarray, one: Given) -> np.ndarray:
            becomes = one.kind == "real" and array.dtype.kind in kinds and array.dtype != np.uint8
            return array.astype(self.dtype) if becomes else array

        if len(expected) == 1 and isinstance(given, np.ndarray | OnDemand):
            return converted(given, expected[0])
        found = by_key(given, expected, "arrays")
        return {one.key: converted(found[one.key], one) for one in expected} if found else given

    def check_pair(self, x: Arrays, y: Arrays, what: str) -> None:
        """Check that `x` (N, *input_shape) and `y` (N, *label_shape) can be trained on. Raises DataError.

        Class labels must be integers from 0 to `classes` - 1. Real inputs are floats or uint8, real targets
        floats or integers; `convert` makes such of other numbers. Where a model has several inputs or labels,
        each of them must be so.
        """
        inputs, labels = by_key(x, self.inputs, f"{what} inputs"), by_key(y, self.labels, f"{what} labels")
        count = len(inputs[self.inputs[0].key]) if np.ndim(inputs[self.inputs[0].key]) else 0
        for one in self.inputs:
            self._check_shape(inputs[one.key], one, _named(f"{what} inputs", one, self.inputs))
        for one in self.labels:
            self._check_shape(labels[one.key], one, _named(f"{what} labels", one, self.labels))
        for key, array in [*labels.items(), *inputs.items()]:
            if len(array) != count:
                raise other_length((self.inputs, self.labels), count, key, len(array), what)
        if count == 0:
            raise DataError(f"the {what} data are empty", expected="one sample or more", found="none")
        for one in self.inputs:
            array = inputs[one.key] if one.real is None else where_real(inputs[one.key], inputs[one.real])
            self._check_input(array, one, _named(f"{what} inputs", one, self.inputs))
        for one in self.labels:
            array = labels[one.key] if one.real is None else where_real(labels[one.key], inputs[one.real])
            self._check_label(array, one, _named(f"{what} labels", one, self.labels))

    def _check_shape(self, array: np.ndarray, one: Given, what: str) -> None:
        if array.shape[1:] != one.shape or array.ndim < 1:
            advice = ONE_HOT if one.limit and array.shape[1:] == (*one.shape, one.limit) else None
            if array.shape[1:] == (*one.shape, 1):
                advice = f"a column becomes this by reshape{(-1, *one.shape)}"
            raise DataError(
                f"the {what} do not fit the model {self.name!r}",
                expected=f"shape {('N', *one.shape)}".replace("'", ""),
                found=f"shape {array.shape}",
                advice=advice,
            )

    def _check_input(self, x: np.ndarray, one: Given, what: str) -> None:
        _check_unmasked(x, what)
        if one.kind == "index":
            self._check_integers(x, one.limit, what)
        elif one.kind == "bool" and x.dtype != np.bool_:
            raise DataError(f"the {what} are no truth values", expected="bool", found=str(x.dtype))
        elif one.kind == "real" and x.dtype != np.uint8 and x.dtype.kind != "f":
            raise DataError(
                f"the {what} are not numbers that the model {self.name!r} takes",
                expected=f"{self.dtype}, another float, or uint8, which is scaled to [0, 1]",
                found=str(x.dtype),
                advice=f"x.astype('uint8') for pixels, or x.astype('{self.dtype}') for numbers as they are",
            )

    def _check_label(self, y: np.ndarray, one: Given, what: str) -> None:
        _check_unmasked(y, what)
        if one.kind == "index":
            whole = y.dtype.kind == "f" and bool((y == np.floor(y)).all())
            advice = "y.astype(int)" if whole else f"{ONE_HOT}, booleans with y.astype(int)"
            if y.dtype.kind == "f" and (none := int(np.isnan(y).sum())):
                advice = f"leave out the {none:,} whose label is NaN, and y.astype(int)"
            advice = NAMES_OF_CLASSES if y.dtype.kind in "OUST" else advice
            counted = y if one.ignored is None else np.where(y == one.ignored, 0, y)
            self._check_integers(counted, one.limit, what, advice)
        elif y.dtype.kind not in "fiu":
            raise DataError(
                f"the {what} are not numbers that the model {self.name!r} takes",
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
                found=f"{shown} ({int(wrong.sum()):,} of {wrong.size:,}; the first at sample {first})",
            )


def _named(what: str, one: Given, of: Sequence[Given]) -> str:
    """What is spoken of: one of several has its name."""
    return f"{what} {one.key!r}" if len(of) > 1 else what


def _check_unmasked(values: np.ndarray, what: str) -> None:
    """What lies under a mask would be trained on. Raises DataError when something does."""
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise DataError(
            f"some of the {what} are masked",
            expected="numbers; there is no arithmetic with masks here",
            found=f"{np.ma.count_masked(values):,} of {values.size:,} values masked",
            advice="put numbers there with filled(value), or leave these samples out",
        )


def without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    """A shape but for its axes of extent 1."""
    return tuple(extent for extent in shape if extent != 1)
