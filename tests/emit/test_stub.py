"""The stub beside a module says what the module has: the same names, arguments and defaults, and types."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from compiler.frontend.parse import load_model
from compiler.language.description import Model, Sequential
from compiler.language.layers import Dense, Embedding, Flatten, Input, Softmax
from compiler.language.losses import CrossEntropy, MeanSquaredError
from compiler.language.optimizers import SGD
from compiler.modes import MODES
from compiler.module_source import ModuleSource, compile_to_source
from tests.machines import TARGETS
from tests.workshop import ROOT

HEADS = re.compile(r"^( *)(?:cdef |cpdef )?(class|def) (\w+)(?:\((.*)\))?:", re.MULTILINE)


def classifier() -> Model:
    return Sequential([Input(4), Dense(3), Softmax()], loss=CrossEntropy(), optimizer=SGD(0.1))


def letters() -> Model:
    layers = [Input(5, vocabulary=7), Embedding(7, 3), Flatten(), Dense(2)]
    return Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1))


def states() -> Model:
    return load_model(ROOT / "models" / "mlp.py")


def source(model: Model, **options: object) -> ModuleSource:
    return compile_to_source(model, TARGETS["scalar"], "float64", "digest", **options)


def arguments(node: ast.FunctionDef) -> list[tuple[str, str | None]]:
    given, defaults = node.args.args, node.args.defaults
    filled = [None] * (len(given) - len(defaults)) + [ast.unparse(d) for d in defaults]
    names = [(a.arg, d) for a, d in zip(given, filled, strict=True)]
    stars = [(f"{star}{a.arg}", None) for star, a in (("*", node.args.vararg), ("**", node.args.kwarg)) if a]
    return names + stars


def public(name: str) -> bool:
    return not name.startswith("_") or name in ("__init__", "__copy__", "__deepcopy__")


def of_stub(text: str) -> tuple[dict, set[str], set[str]]:
    """Methods and functions with their arguments, properties and attributes of the class, constants."""
    tree = ast.parse(text)
    (network,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Network")
    functions = [node for node in (*tree.body, *network.body) if isinstance(node, ast.FunctionDef)]
    properties = {node.name for node in functions if node.decorator_list}
    properties |= {node.target.id for node in network.body if isinstance(node, ast.AnnAssign)}
    constants = {node.target.id for node in tree.body if isinstance(node, ast.AnnAssign)}
    return {n.name: arguments(n) for n in functions if not n.decorator_list}, properties, constants


def of_module(text: str) -> tuple[dict, set[str], set[str]]:
    """The same of the generated text."""
    methods = {}
    for indent, kind, name, given in HEADS.findall(text):
        if kind == "def" and len(indent) <= 4 and public(name):
            (node,) = ast.parse(f"def f({given.replace('Py_ssize_t ', '')}): ...").body
            methods[name] = arguments(node)
    properties = set(re.findall(r"    @property\n    def (\w+)\(", text))
    properties |= set(re.findall(r"    cdef readonly object (\w+)", text))
    constants = set(re.findall(r"^([A-Z][A-Z_]+) = ", text, re.MULTILINE))
    return {name: given for name, given in methods.items() if name not in properties}, properties, constants


@pytest.mark.parametrize(
    ("model", "modes"),
    [(classifier, MODES), (letters, MODES), (letters, ("vjp",)), (states, ("vjp",))],
    ids=lambda value: getattr(value, "__name__", str(len(value)) if isinstance(value, tuple) else value),
)
def test_stubs_say_what_modules_have(model, modes: tuple[str, ...]) -> None:
    made = source(model(), modes=modes)
    assert of_stub(made.stub) == of_module(made.text)


def test_instruments_are_in_the_stub() -> None:
    made = source(classifier(), instruments="kernels")
    assert of_stub(made.stub) == of_module(made.text)
    assert "kernel_clocks" in made.stub and "time_program" in made.stub


USE = """
import numpy as np
from model import Network, reload

net = Network(seed=0, threads=None)
x, y = np.zeros((2, 4), np.float32), [0, 1]
loss: float = net.train_step(x, y, rows=[1])
loss, gradients = net.value_and_grad(x, y, inputs=True)
net.parameters["dense_1.kernel"][...] += gradients["dense_1.kernel"]
outputs: np.ndarray = net.predict(x)
net.learning_rate = 0.5
net.apply_gradients(net.gradients(x, y, before=2)[1])
net.predict(x, y)
net.parameters = {}
"""
WRONG = {13: "Too many arguments", 14: "read-only"}
"""Lines that a type checker objects to, and what it says."""


def test_a_type_checker_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    api = pytest.importorskip("mypy.api")
    (tmp_path / "model.pyi").write_text(source(classifier()).stub)
    (tmp_path / "use.py").write_text(USE)
    monkeypatch.chdir(tmp_path)
    output, errors, _ = api.run(["--strict", "--config-file=", "--no-incremental", "use.py", "model.pyi"])
    found = {int(line.split(":")[1]): line for line in output.splitlines() if ": error: " in line}
    assert errors == "" and found.keys() == WRONG.keys(), output
    assert all(message in found[line] for line, message in WRONG.items())


def test_types_follow_from_roles() -> None:
    tree = ast.parse(source(classifier(), modes=MODES).stub)
    (network,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Network")
    types = {n.name: ast.unparse(n.returns) for n in network.body if isinstance(n, ast.FunctionDef)}
    array = "NDArray[np.float64]"
    assert {name: types[name] for name in types if public(name) and name[0] != "_"} == {
        "parameters": f"Mapping[str, {array}]",
        "state": f"Mapping[str, {array}]",
        "optimizer_state": f"Mapping[str, {array}]",
        "initialize": "None",
        "examples_of": "NDArray[np.int64]",
        "frozen": "tuple[str, ...]",
        "freeze": "None",
        "unfreeze": "None",
        "train_step": "float",
        "vjp": f"tuple[{array}, Gradients]",
        "gauss_newton": "Gradients",
        "fisher": "Gradients",
        "gradients": "tuple[float, Gradients]",
        "apply_gradients": "None",
        "value_and_grad": "tuple[float, Gradients]",
        "predict": array,
        "evaluate": f"tuple[float, {array}]",
        "jvp": "tuple[float, float]",
        "hvp": "Gradients",
        "per_example_gradients": f"tuple[{array}, dict[str, {array}]]",
        "diagnose": "tuple[float, dict[str, float]]",
    }
