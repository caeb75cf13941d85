"""Texts of whole files: plain functions, an `autograd.Function`, a `custom_vjp`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compiler.emit.arrays.backend import JAX, NUMPY, TORCH, Backend
from compiler.emit.arrays.function import Namer, arguments, body, checks, helpers, indented, shapes_told
from compiler.ir.tensor.axes import has_batch
from compiler.ir.tensor.program import Definition, Program
from compiler.ir.tensor.prune import needed_for, without_unread
from compiler.show.names import Called


@dataclass(frozen=True)
class Function:
    """What becomes a function: its name, what it says of itself, its program and results."""

    name: str
    help: str
    program: Program
    results: tuple[str, ...]


def functions_text(functions: Sequence[Function], called: Called, backend: Backend = NUMPY) -> str:
    """A file of plain functions. Each computes what it needs of the others' values itself."""
    parts = [needed_for(f.program, *f.results) for f in functions]
    namer = Namer(called, parts, {*backend.reserved, *(function.name for function in functions)})
    texts = [_function(f, part, namer, backend) for f, part in zip(functions, parts, strict=True)]
    return helpers("\n\n\n".join(texts), backend)


def _function(function: Function, program: Program, namer: Namer, backend: Backend) -> str:
    program = without_unread_seeds(program)
    names = ", ".join(namer.names[t.name] for t in arguments(program))
    results = ", ".join(namer.names[name] for name in function.results)
    lines = [
        *shapes_told(arguments(program), namer, function.help),
        *checks(arguments(program), namer),
        *body(program, program.definitions, namer, backend, arguments(program), arguments(program)),
        f"return {results}",
    ]
    return f"def {function.name}({names}):\n{indented(lines)}"


def without_unread_seeds(program: Program) -> Program:
    """Inputs stay what the formula is given; draws of random numbers that are not read go."""
    read = {tensor.name for tensor in without_unread(program).inputs}
    kept = (tensor for tensor in program.inputs if tensor.kind != "random" or tensor.name in read)
    return program.replace(inputs=tuple(kept))


@dataclass(frozen=True)
class Pullback:
    """A formula with its reverse mode: a program of both, the output, its cotangent, and the results by
    what they are derivatives of."""

    name: str
    help: str
    program: Program
    output: str
    seed: str
    results: tuple[tuple[str, str], ...]

    @property
    def forward(self) -> list[Definition]:
        """What does not depend on the cotangent, as far as it is needed."""
        return [d for d in self._needed if d.name not in self._backward_names]

    @property
    def backward(self) -> list[Definition]:
        return [d for d in self._needed if d.name in self._backward_names]

    @property
    def _needed(self) -> tuple[Definition, ...]:
        return needed_for(self.program, self.output, *(name for _, name in self.results)).definitions

    @property
    def _backward_names(self) -> set[str]:
        """What depends on the cotangent, or is a result: that is zero where nothing depends on it."""
        names = {self.seed, *(name for _, name in self.results)}
        for definition in self._needed:
            if not names.isdisjoint(definition.tensors):
                # A circle that depends on it does so as a whole.
                names.update(self.program.circle_of.get(definition.name, (definition.name,)))
        return names

    @property
    def saved(self) -> list[str]:
        """What the backward pass reads of the forward pass, or needs to know the sizes of."""
        read = {name for d in self.backward for name in d.tensors} - self._backward_names
        entries = [t for t in arguments(self.program) if t.name != self.seed]
        kept = [e.name for e in entries if e.name in read]
        kept += [d.name for d in self.forward if d.name in read]
        rows = next((t.name for t in entries if has_batch(t.shape)), None)
        known = any(has_batch(self.program.shape(name)) for name in (*kept, self.seed))
        return kept if known or rows is None else [rows, *kept]

    def forward_lines(self, namer: Namer, backend: Backend) -> list[str]:
        """The statements of the forward pass."""
        given = arguments(self.program)
        return body(self.program, self.forward, namer, backend, given, given)

    def backward_lines(self, namer: Namer, backend: Backend) -> list[str]:
        """The statements of the backward pass. What is saved is of the forward pass, an array of its kind."""
        there = [self.program[name] for name in (self.seed, *self.saved)]
        return body(self.program, self.backward, namer, backend, there, there[:1])


def torch_text(pullback: Pullback, called: Called) -> str:
    """An `autograd.Function` and a function that applies it."""
    kind = pullback.name.title().replace("_", "")
    namer = Namer(called, [pullback.program], {*TORCH.reserved, pullback.name, kind, "ctx"})
    names = namer.names
    tensors = [t for t in arguments(pullback.program) if t.name != pullback.seed]
    given = [t.name for t in tensors]
    listed = ", ".join(names[n] for n in given)
    saved = ", ".join(names[n] for n in pullback.saved)
    results = dict(pullback.results)
    returned = ", ".join(names[results[n]] if n in results else "None" for n in given)
    forward = [
        *checks(tensors, namer),
        *pullback.forward_lines(namer, TORCH),
        f"ctx.save_for_backward({saved})",
        f"return {names[pullback.output]}",
    ]
    unpacked = f"{saved}{',' if len(pullback.saved) == 1 else ''} = ctx.saved_tensors"
    backward = [
        *([unpacked] if saved else []),
        *pullback.backward_lines(namer, TORCH),
        f"return {returned}",
    ]
    code = f"""class {kind}(torch.autograd.Function):
{indented(shapes_told(tensors, namer, pullback.help))}

    @staticmethod
    def forward(ctx, {listed}):
{indented(forward, 2)}

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, {names[pullback.seed]}):
{indented(backward, 2)}


def {pullback.name}({listed}):
    return {kind}.apply({listed})"""
    return helpers(code, TORCH)


def jax_text(pullback: Pullback, called: Called) -> str:
    """A function with a `custom_vjp`."""
    there, back = f"{pullback.name}_forward", f"{pullback.name}_backward"
    namer = Namer(called, [pullback.program], {*JAX.reserved, pullback.name, there, back, "saved"})
    names = namer.names
    given = [t for t in arguments(pullback.program) if t.name != pullback.seed]
    listed = ", ".join(names[t.name] for t in given)
    saved = ", ".join(names[n] for n in pullback.saved)
    results = dict(pullback.results)
    # None is zero, whatever the argument is: an index, noise, the state of a layer.
    returned = ", ".join(names[results[t.name]] if t.name in results else "None" for t in given)
    forward = [
        *checks(given, namer),
        *pullback.forward_lines(namer, JAX),
        f"return {names[pullback.output]}, ({saved + ',' if saved else ''})",
    ]
    backward = [
        *([f"{saved}{'' if ',' in saved else ','} = saved"] if saved else []),
        *pullback.backward_lines(namer, JAX),
        f"return ({returned},)",
    ]
    code = f"""@jax.custom_vjp
def {pullback.name}({listed}):
{indented(shapes_told(given, namer, pullback.help))}
    return {there}({listed})[0]


def {there}({listed}):
{indented(forward)}


def {back}(saved, {names[pullback.seed]}):
{indented(backward)}


{pullback.name}.defvjp({there}, {back})"""
    return helpers(code, JAX)
