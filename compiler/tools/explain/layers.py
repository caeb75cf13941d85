"""The graph of a model, and a part of the page for each layer: formula, derivative step by step, kernels."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from compiler.frontend.lowered import LayerRow, shape_text
from compiler.ir.tensor.program import Definition, Program
from compiler.show.definitions import statements
from compiler.show.notation import Node
from compiler.tools.derive.steps import Step, steps_of
from compiler.tools.explain.blocks import Block, Box, Code, Fold, Formulas, Graph, Heading, Paragraph
from compiler.tools.explain.folding import repeats
from compiler.tools.explain.kinks import conventions
from compiler.tools.explain.material import Material, Written
from compiler.tools.measure.schedule import operations_of_all

LOSS = "loss"
DERIVING = ("vjp", "jvp", "winner", "every element")
"""Rules whose result is another thing than what they begin with."""


def anchor(name: str) -> str:
    """The part of the page about a layer."""
    return "layer-" + "".join(c if c.isalnum() or c in "_-" else "-" for c in name)


def origins(program: Program) -> list[str]:
    """The layers in order, as the formulas come from them, the loss last."""
    return list(dict.fromkeys(d.origin for d in program.definitions if d.origin))


def graph(model: Material) -> Graph:
    """Layers as boxes, and an arrow for each tensor that one reads of another."""
    program = model.training
    rows = {row.name: row for row in model.source.lowered.layers}
    given = [t.name for t in program.inputs if t.kind in ("input", "label")]
    arrows: dict[tuple[str, str], None] = {}
    back: set[tuple[str, str]] = set()
    moved = _moved_by_parameters(program, (p.name for p in model.source.lowered.parameters))
    for definition in program.definitions:
        for name in definition.tensors:
            entry = program.definition(name)
            source = entry.origin if entry else name if name in given else ""
            if source and definition.origin and source != definition.origin:
                arrows[source, definition.origin] = None
                if name in moved:
                    back.add((source, definition.origin))
    layers = origins(program)
    folds = repeats(layers, arrows, {n: _looks(rows.get(n), n) for n in layers})
    shown = {name: fold.name for fold in folds for copy in fold.copies for name in copy}
    arrows = dict.fromkeys((shown.get(a, a), shown.get(b, b)) for a, b in arrows)
    arrows = {(a, b): None for a, b in arrows if a != b}
    back = {(shown.get(a, a), shown.get(b, b)) for a, b in back}
    names = list(dict.fromkeys(shown.get(n, n) for n in layers))
    names = [*(n for n in given if any(a == n for a, _ in arrows)), *names]
    folded = {fold.name: fold for fold in folds}
    depth: dict[str, int] = {}
    for name in names:
        depth[name] = 1 + max((depth.get(a, -1) for a, b in arrows if b == name), default=-1)
    for name in given:
        # What is given stands right above what reads it first.
        depth[name] = min((depth[b] for a, b in arrows if a == name), default=1) - 1
    taken: dict[int, int] = {}
    boxes = []
    for name in sorted(names, key=lambda n: (depth[n], n in given, names.index(n))):
        column = taken.get(depth[name], 0)
        taken[depth[name]] = column + 1
        if name in folded:
            first, copies = folded[name].copies[0][0], len(folded[name].copies)
            words = (f"{_many(len(folded[name].block))} {_times(copies)} more",)
            boxes.append(Box(name, words, depth[name], column, anchor(first)))
            continue
        where = anchor(name) if name not in given else ""
        boxes.append(Box(name, _words(name, rows.get(name), program, given), depth[name], column, where))
    return Graph(tuple(boxes), tuple(arrows), frozenset(back & set(arrows)))


def _looks(row: LayerRow | None, name: str) -> Hashable:
    """What makes two layers look alike."""
    return (row.kind, row.shape, row.parameters) if row is not None else name


def _times(copies: int) -> str:
    return "once" if copies == 1 else f"{copies} times"


def _many(layers: int) -> str:
    return "the layer" if layers == 1 else f"the {layers} layers"


def _moved_by_parameters(program: Program, parameters: Iterable[str]) -> set[str]:
    """Parameters, and what depends on one: the rest has no cotangent in a step of training."""
    moved = set(parameters)
    for definition in program.definitions:
        if any(access.tensor in moved for term in definition.terms for _, access in term.reads):
            moved.add(definition.name)
    return moved


def _words(name: str, row: LayerRow | None, program: Program, given: list[str]) -> tuple[str, ...]:
    if row is not None:
        text = shape_text(row.shape, " × ") or "one number"
        return (text, f"{row.parameters:,} parameters") if row.parameters else (text,)
    if name in given:
        shape = program.shape(name)[1:]
        return (" × ".join(map(str, shape)) or "one number",)
    return ("one number",)


def layer_parts(model: Material) -> Iterator[Block]:
    """A part for each layer."""
    for origin in origins(model.training):
        yield Heading(3, origin, anchor(origin))
        yield from _layer(model, origin)


def _layer(model: Material, origin: str) -> Iterator[Block]:
    own = [d for d in model.training.definitions if d.origin == origin]
    yield Paragraph("The formula:")
    yield Formulas(_written(own, model))
    at_kinks = conventions(own)
    if at_kinks:
        yield Paragraph("Where it has no derivative: " + " ".join(at_kinks))
    derivatives = [
        d for d in model.gradient.definitions if d.origin == origin and d.name not in model.training
    ]
    if derivatives:
        yield Heading(4, "Short form", f"{anchor(origin)}.short")
        yield Paragraph("Its derivatives, as they are computed:")
        yield Formulas(_written(derivatives, model), "after")
    record = tuple(steps_of(model.record(origin), model.called))
    if record:
        yield Heading(4, "Long form", f"{anchor(origin)}.long")
        yield Fold(f"Step by step ({len(record)} steps)", tuple(step_blocks(record)))
    for kernel in model.kernels.get(origin, ()):
        yield Fold(f"Kernel {kernel.name}", (_code(kernel, model),))


def _code(kernel: Written, model: Material) -> Code:
    """A kernel beside its formula: the axes and tensors that both speak of."""
    definitions = [entry for entry in kernel.call.entries if isinstance(entry, Definition)]
    axes = dict.fromkeys(a.name for d in definitions for t in d.terms for a in t.axes)
    tensors = tuple(
        (model.called[tensor].text, buffer.name)
        for buffer, tensor in zip(kernel.call.kernel.buffers, kernel.call.tensors, strict=False)
        if tensor in model.called.names
    )
    return Code(kernel.name, kernel.text, _written(definitions, model), tuple(axes), tensors)


def _written(definitions: list[Definition], model: Material) -> tuple[Node, ...]:
    return tuple(s for d in definitions for s in statements(d, model.called))


def step_blocks(record: tuple[Step, ...]) -> Iterator[Block]:
    """Recorded steps: rule and reason, before, the chain rule, after."""
    for number, step in enumerate(record, 1):
        yield Paragraph(f"{number}. {step.title}: {step.why}{_counted(step)}", "step")
        if step.before:
            yield Formulas(step.before, "before")
        for chain in step.chains:
            yield Formulas(tuple(chain.nodes), "chain")
        yield Formulas(step.after, "after")


def _counted(step: Step) -> str:
    """The operations before and after a step that rewrites, where it changed them."""
    if step.rewrite is None or step.rule in DERIVING:
        return ""
    sides = (step.rewrite.old, step.rewrite.new)
    (before, before_once), (after, after_once) = map(operations_of_all, sides)
    if (before, before_once) == (after, after_once):
        return ""
    once = f", {before_once:,} → {after_once:,} a call" if before_once or after_once else ""
    return f" (operations: {before:,} → {after:,} an example{once})"
