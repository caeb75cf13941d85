"""The forward and the backward pass of an example as stages that a page shows one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from compiler.ir.tensor.axes import has_batch
from compiler.show.definitions import statements
from compiler.show.names import Called, called
from compiler.show.text import text
from compiler.tools.explain.blocks import Block, Heading, Paragraph, Play, Stage, Way
from compiler.tools.explain.example import BATCH, Computed, Journey
from compiler.tools.explain.material import Material
from compiler.tools.explain.pictures import Picture, picture

NAMED = 3
"""Readers that are named; more are counted."""


def play_part(model: Material, way: Journey | None) -> Iterator[Block]:
    """The stages, and what one looks at."""
    yield Heading(2, "Step by step with numbers", "play")
    if way is None:
        yield Paragraph("This model is too large for the interpreter that computes the values for this part.")
        return
    yield Paragraph(
        f"One example on its way through the model and back ({way.words}; {BATCH} examples go together). "
        "Blue is below zero, white is zero, red is above; channels stand side by side. The cotangents are "
        "those that the rules derive of the formulas as the model states them."
    )
    names = called((way.program, model.training))
    stages = (*_given(way), *(_stage(one, names, model) for one in way.computed), *_stop(way))
    yield Play(_layers(stages), stages)


def _layers(stages: Iterable[Stage]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage.layer for stage in stages if stage.layer))


def _given(way: Journey) -> Iterator[Stage]:
    for tensor, value in way.given:
        pictures = _pictures(tensor.name, value)
        yield Stage(tensor.name, tensor.name, "given", (), ("given: nothing is computed",), pictures)


def _stage(one: Computed, names: Called, model: Material) -> Stage:
    definition = one.definition
    kind: Way = "forward" if not one.back else "back"
    words: list[str] = []
    if one.back and any(p.name == definition.of for p in model.source.lowered.parameters):
        kind = "gradient"
        summed = "" if has_batch(definition.shape) else f", summed over {BATCH} examples"
        words.append(f"the gradient by {definition.of}{summed}: it goes to the optimizer")
    if one.kept_for:
        words.append(f"kept until the way back, for {_listed(_of(r, names) for r in one.kept_for)}")
    elif not one.back:
        words.append("not needed on the way back")
    pictures = _pictures(text(names[definition.name]), one.value)
    if one.parts:
        words.append(
            f"{len(one.parts)} ways lead from here to the loss: what comes back along them is added up"
        )
        by = ((f"by way of {part.by}" if part.by else "directly", part.value) for part in one.parts)
        pictures = (*(p for caption, value in by for p in _pictures(caption, value)), *pictures)
    formulas = tuple(statements(definition, names))
    readers = tuple(_of(reader, names) for reader in one.kept_for)
    title = text(names[definition.name])
    return Stage(title, definition.origin, kind, formulas, tuple(words), pictures, readers)


def _pictures(caption: str, value: np.ndarray) -> tuple[Picture, ...]:
    return (picture(caption, value),)


def _of(tensor: str, names: Called) -> str:
    return text(names[tensor])


def _listed(words: Iterable[str]) -> str:
    words = list(words)
    rest = len(words) - NAMED
    return ", ".join(words[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _stop(way: Journey) -> Iterator[Stage]:
    if way.stopped:
        listed = " and ".join(way.stopped)
        yield Stage(
            f"no cotangent of {listed}",
            way.stopped[0],
            "stop",
            (),
            (
                f"here it ends: no parameter needs the derivative of the loss by {listed}, so the step never "
                f"computes it, and saves {way.saved_operations:,} operations for each example",
            ),
            (),
        )
