"""What the verifier of loop nests needs to know of a program's tensors."""

from __future__ import annotations

from compiler.ir.affine.expression import Affine, axis, constant
from compiler.ir.loops.verify import verify_kernel
from compiler.ir.tensor.printer import integer_limits
from compiler.ir.tensor.program import Program, Shape
from compiler.plan.plan import Plan
from compiler.schedule.layout import row_size


def size_of(shape: Shape) -> Affine:
    """The elements of a tensor, as an affine of the batch."""
    row = row_size(shape)
    return axis("batch") * row if None in shape else constant(row)


def sizes_of(program: Program) -> dict[str, Affine]:
    return {entry.name: size_of(entry.shape) for entry in (*program.inputs, *program.definitions)}


def verify_plan(plan: Plan) -> None:
    """Raise CompilerBug for the first kernel of a plan that breaks a rule, behind any step that makes it."""
    limits = integer_limits(plan.program)
    for call in plan.calls:
        # A kernel may have been written for tensors of other names, of another program too.
        named = [buffer.tensor for buffer in call.kernel.buffers if not buffer.room]
        bound = dict(zip(named, call.tensors, strict=False))
        sizes = {name: size_of(plan.program.shape(tensor)) for name, tensor in bound.items()}
        below = {name: limits[tensor] for name, tensor in bound.items() if tensor in limits}
        before = None
        for kernel in call.steps:
            if kernel != before:
                verify_kernel(kernel, sizes, below)
            before = kernel
