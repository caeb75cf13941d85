"""Discover cheaper and stable forms of a differentiated program.

    program, rewrites = simplify(program)

The rules are a table. Each is one general law about tensor programs; none knows a layer. They run in
turn until none of them finds anything; each step lowers the cost, so they come to an end. Then the
program is made stable, because a derivative of the plain formula is simpler than one of the stable formula.
What softmax followed by cross-entropy becomes on the way:

    compose        p̄ is a scatter at the label; put into s̄ and z̄ it leaves nothing of size batch × classes
    output forms   exp(z) = p·s: the label's p·s cancels its own 1/p and 1/s
    merge          z̄[b,k] = p[b,k]/B,  z̄[b,label[b]] = -1/B:  (p - onehot)/B
    stabilise      p = exp(z - m)/s',  loss = log(s') + m - z[b,label[b]]
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compiler.errors import CompilerBug
from compiler.ir.tensor.editing import replaced
from compiler.ir.tensor.program import Program, Rewrite
from compiler.ir.tensor.prune import prune
from compiler.ir.tensor.record import rewritten
from compiler.ir.tensor.stepwise import stepwise
from compiler.simplify.compose import compose
from compiler.simplify.memo import Memo
from compiler.simplify.merge import tidy_definition
from compiler.simplify.output_forms import in_output_forms
from compiler.simplify.remarks import remarks
from compiler.simplify.self_check import differences
from compiler.simplify.share import share
from compiler.simplify.stabilise import stable_forms
from compiler.simplify.sums import look_up, pull_out

Rule = Callable[[Program, Memo], tuple[Program, list[Rewrite]]]

MOST_ROUNDS = 40


def tidy(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Each definition by itself: merge its terms, then the cheapest form of each, outputs included."""
    rewrites = []
    for definition in program.definitions:
        merged = tidy_definition(program, definition)
        changed = in_output_forms(program, merged, memo)
        if changed != definition:
            program = replaced(program, definition.name, changed)
            rule = "algebra" if set(changed.tensors) <= set(definition.tensors) else "output form"
            why = "the same value for less work" if rule == "algebra" else "a saved output says it for less"
            rewrites.append(rewritten(rule, definition, changed, why))
    return program, rewrites


def share_equal(program: Program, memo: Memo) -> tuple[Program, list[Rewrite]]:
    """Compute once what is defined twice."""
    return share(program)


RULES: tuple[Rule, ...] = (tidy, compose, pull_out, look_up, share_equal)


def simplify(
    program: Program, *, strict: bool = False, rules: Sequence[Rule] = RULES, stable: bool = True
) -> tuple[Program, tuple[Rewrite, ...]]:
    """The same outputs for less work, in stable form, and every step that was taken.

    What is to be differentiated again is not made `stable`: its derivative is that of the plain formula.
    The result is compared with the given program on random numbers. If they differ, a rule is wrong:
    that raises CompilerBug when `strict`, and otherwise gives the program back with the finding recorded.
    """
    memo = Memo()
    given = prune(program)
    simplified, rewrites = given, []
    for _ in range(MOST_ROUNDS):
        steps: list[Rewrite] = []
        for rule in rules:
            simplified, found = rule(simplified, memo)
            simplified = stepwise(prune(simplified)) if found else simplified
            steps += found
        rewrites += steps
        if not steps:
            break
    else:
        # Every round keeps the values, so a compilation may go on with what was reached.
        if strict:
            raise CompilerBug(f"simplification did not settle in {MOST_ROUNDS} rounds: {rewrites[-1]}")
    rewrites += remarks(simplified, memo)
    if stable:
        simplified, last = stable_forms(simplified, given, memo)
        rewrites += last
    return _checked(given, simplified, tuple(rewrites), strict)


def stabilise(program: Program, *, strict: bool = False) -> tuple[Program, tuple[Rewrite, ...]]:
    """The stable forms alone, for a program without derivatives; checked like `simplify`."""
    given = prune(program)
    stable, rewrites = stable_forms(given, given, Memo())
    return _checked(given, stable, tuple(rewrites), strict)


def _checked(
    given: Program, rewritten: Program, rewrites: tuple[Rewrite, ...], strict: bool
) -> tuple[Program, tuple[Rewrite, ...]]:
    wrong = [] if rewritten == given else differences(given, rewritten)
    if not wrong:
        return rewritten, rewrites
    finding = f"rewritten {', '.join(wrong)} differ from what they were"
    if strict:
        raise CompilerBug(finding)
    return given, (Rewrite("self-check", "the rewritten program", "the given program", finding),)
