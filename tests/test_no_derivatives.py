"""No layer, loss, optimizer or initializer holds a derivative: they are formulas and shape rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from compiler.language.layers.base import Forward, Layer
from compiler.language.losses import Loss

ROOT = Path(__file__).parents[1] / "compiler" / "language"
FOLDERS = ("layers", "losses", "optimizers", "initializers", "regularizers")
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))

FORBIDDEN = ("cotangent", "tangent", "derivative", "backward", "vjp", "jvp", "jacobian", "hessian", "diff")
"""Words of the calculus. `difference` is none; `gradient` is what an optimizer is given."""
ALLOWED = ("tanh", "differ", "difflib")
WHOLE = ("go_backwards",)
"""Names that are allowed by themselves, and in no other name: Keras' argument for a sequence from its end."""


def words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name and every text that is no documentation, with its line."""
    documentation = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    # A text below an assignment documents it.
    documentation |= {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.lineno, node.value
        for field in ("id", "attr", "name", "arg", "module"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                yield getattr(node, "lineno", 0), value


def found_in(text: str) -> list[str]:
    found = []
    for line, word in words(ast.parse(text)):
        if word in WHOLE:
            continue
        for allowed in ALLOWED:
            word = word.replace(allowed, "")
        found += [f"line {line}: {word}" for forbidden in FORBIDDEN if forbidden in word.lower()]
        if word.startswith("compiler.derive"):
            found.append(f"line {line}: imports {word}")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_derivative(path: Path) -> None:
    assert found_in(path.read_text(encoding="utf-8")) == []


def test_a_derivative_would_be_found() -> None:
    for text in (
        "def backward(self, x): ...",
        "from compiler.derive.rules import vjp_terms",
        'FORMULA = "x_cotangent[...] = y_cotangent[...] * (1 - y[...]**2)"',
        "slope = sympy.diff(body, x)",
        "def go_backwards_by(self, x): ...",
        'ways = {"backward": "x"}',
    ):
        assert found_in(text), text


def test_nothing_of_a_layer_or_loss_could_carry_one() -> None:
    """What they return has places for the formulas of training and inference, and for none other."""
    formulas = [name for name, kind in Forward.__annotations__.items() if kind in ("str", "str | None")]
    assert formulas == ["formula", "inference"]
    for kind in (Layer, Loss):
        public = [name for name in vars(kind) if not name.startswith("_")]
        assert not any(word in name for name in public for word in FORBIDDEN), public
