"""`chainrule derive`: what it reads, what it answers, and how it fits together."""

from __future__ import annotations

import re
import subprocess
import sys
from xml.etree import ElementTree

import pytest

import chainrule
from compiler.derive.chain import chain_steps
from compiler.errors import ModelError
from compiler.ir.scalar.from_sympy import own_nodes
from compiler.ir.tensor.circles import circles_of
from compiler.tools.derive.problem import question
from compiler.tools.derive.reading import read_formula
from compiler.tools.derive.replay import replayed, unrecorded
from tests.derive.layer_cases import other_layer_cases


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("y = (3x + 2)²", "y[] = (3*x[] + 2)**2"),
        ("(3x+2)^2", "y[] = (3*x[]+2)**2"),
        ("y = 3 x", "y[] = 3*x[]"),
        ("y = 2(x + 1)(x − 1)", "y[] = 2*(x[] + 1)*(x[] - 1)"),
        ("y = 1e-3·x", "y[] = 1e-3*x[]"),
        ("y = 3exp(2x)", "y[] = 3*exp(2*x[])"),
        ("y = x⁻²", "y[] = x[]**(-2)"),
        ("y = x1 × x2", "y[] = x1[] * x2[]"),
        ("y = √(2π)", "y[] = sqrt(2*pi)"),
        ("y = 3 if x > 0 else 4x", "y[] = 3 if x[] > 0 else 4*x[]"),
        ("y = (x) if x ≥ 0 else (2x)", "y[] = (x[]) if x[] >= 0 else (2*x[])"),
        ("y[i] = a·x[i]", "y[i] = a[]*x[i]"),
        ("y[i] = i·x[i] + size(i)", "y[i] = i*x[i] + size(i)"),
        ("y = sum[i](x[i]·i)", "y[] = sum[i](x[i]*i)"),
        ("y[h] = x[2h + 1]", "y[h] = x[2*h + 1]"),
        ("s = x²; y = s·x", "s[] = x[]**2\ny[] = s[]*x[]"),
        ("y = √x·x", "y[] = sqrt(x[])*x[]"),
        ("y = 2√2x", "y[] = 2*sqrt(2)*x[]"),
        ("y = x√π", "y[] = x[]*sqrt(pi)"),
        ("y = √√x", "y[] = sqrt(sqrt(x[]))"),
        ("y[i] = √x[i]·√(x[i] + 1)", "y[i] = sqrt(x[i])*sqrt(x[i] + 1)"),
        ("y = 2πr", "y[] = 2*pi*r[]"),
        ("y = sin²(x)", "y[] = sin(x[])**2"),
        ("y = 3sin^2(2x)cos²(x)", "y[] = 3*sin(2*x[])**2*cos(x[])**2"),
        ("y = e^x", "y[] = exp(x[])"),
        ("y = 1/(1+e^(-x))", "y[] = 1/(1+exp(-x[]))"),
        ("y = e**(2x)·e^(e^-x)", "y[] = exp(2*x[])*exp(exp(-x[]))"),
        ("e = x + 1; y = e^x", "e[] = x[] + 1\ny[] = e[]**x[]"),
        ("y[i] = e[i]^2", "y[i] = e[i]**2"),
        ("f(x) = x^3", "f[] = x[]**3"),
    ],
)
def test_friendly_notation(written: str, meant: str) -> None:
    assert read_formula(written).text == meant


@pytest.mark.parametrize(
    ("formula", "shapes"),
    [
        ("y[b, o] = sum[i](w[i, o]*x[b, i])", {"w": (3, 4), "x": (None, 3)}),
        ("y[b, c] = exp(x[b, c])/sum[k](exp(x[b, k]))", {"x": (None, 3)}),
        ("y[h] = sum[p:3](k[p]*x[2*h + p])", {"k": (3,), "x": (7,)}),
        ("loss = mean[b](-log(p[b, label[b]]))", {"p": (None, 5), "label": (None,)}),
        ("y[b, t, i] = table[x[b, t], i]", {"table": (5, 4), "x": (None, 3)}),
        ("s[b, i] = tanh(x[b, i]); y[b, h] = sum[p:2](s[b, 2*h + p])", {"x": (None, 3)}),
    ],
)
def test_shapes_are_inferred(formula: str, shapes: dict) -> None:
    program = question(formula).program
    assert {t.name: t.shape for t in program.inputs if t.kind == "input"} == shapes


RECURRENCE = "h[b, t, u] = tanh(z[b, t, u] + sum[v](r[v, u]·h[b, t - 1, v])) if t >= 1 else tanh(z[b, t, u])"


@pytest.mark.parametrize("mode", ["vjp", "jvp", "hvp", "jacobian"])
def test_recurrences_are_derived_and_their_steps_replay(mode: str) -> None:
    """Each step by itself, at the values that the recurrence has."""
    derived = chainrule.derive(RECURRENCE, modes=mode)
    findings = derived.check()
    assert findings.passed, str(findings)
    rungs = {row.rung for row in findings.rows}
    assert rungs >= {"interpreter", "adjoint", "Taylor"} | ({"steps"} if mode != "jacobian" else set())


@pytest.mark.parametrize(
    ("written", "here"),
    [
        ("sin x", "y = sin(x)"),
        ("|x|", "y = abs(x)"),
        ("log|x - 1|/2", "y = log(abs(x - 1))/2"),
        ("∑_i x[i]", "y = sum[i](x[i])"),
        ("2 sin x cos x", "y = 2*sin(x)*cos(x)"),
    ],
)
def test_other_notations_are_shown_as_they_are_written_here(written: str, here: str) -> None:
    """These were "invalid syntax", without advice."""
    with pytest.raises(ModelError) as raised:
        read_formula(written)
    (problem,) = raised.value.problems
    assert problem.advice == here


def test_a_function_is_differentiated_by_its_arguments() -> None:
    """The advice was f[x] = x**3, which is no function of x."""
    assert question("f(x) = a·x² + b").wrt == ("x",)
    assert question("u = 2t; f(u, x) = u·x", wrt=["x"]).wrt == ("x",)
    assert str(chainrule.derive("f(x) = a·x²")).endswith("∂f/∂x = 2a·x")


def test_open_axes_are_the_batch() -> None:
    assert read_formula("y[..., c] = exp(x[..., c])").text == "y[b, c] = exp(x[b, c])"
    assert question("y[...] = x[...]").program.shape("x") == (None,)


def test_letters_of_the_chain_are_no_axes() -> None:
    steps = chainrule.derive("y[u] = tanh(sin(x[u])·2)").text(steps=True)
    assert "with v = 2·sin(x[u])" in steps


def test_sizes_may_be_given() -> None:
    program = question("y[o] = sum[i](w[i, o]*x[i])", sizes={"i": 7, "o": 2}).program
    assert program.shape("w") == (7, 2)


def test_the_square_of_a_line() -> None:
    derived = chainrule.derive("y = (3x + 2)²")
    assert str(derived) == "y = (3x + 2)²\n\ndy/dx = 6·(3x + 2)"
    steps = derived.text(steps=True)
    for line in (
        "y = u² with u = 3x + 2: dy/du = 2u",
        "u = v + 2 with v = 3x: du/dv = 1",
        "v = 3x: dv/dx = 3",
        "dy/dx = dy/du·du/dv·dv/dx = 2u·3 = 18x + 12",
        "→  x_bar = 6·(3x + 2)",
    ):
        assert f"{line}\n" in f"{steps}\n", steps


@pytest.mark.parametrize(
    ("formula", "modes", "line"),
    [
        ("y = exp(x)", "vjp", "dy/dx = y"),
        ("y = x·z", "vjp", "∂y/∂x = z"),
        ("y = x + z", "vjp", "∂y/∂z = 1"),
        ("y[i] = x[i] + z[i]", "jacobian", "∂y[k0]/∂z[k0] += 1  for all k0 < 3"),
        ("y = x³", "hvp", "x_bar_dot = 6·x_dot·x"),
        ("y[o] = sum[i](w[i, o]·x[i])", "vjp", "x_bar[i] = sum[o:4](w[i, o]·y_bar[o])"),
        ("y[o] = sum[i](w[i, o]·x[i])", "jacobian", "∂y[k0]/∂w[i, k0] += x[i]  for all k0 < 4, i < 3"),
        ("y[b, c] = tanh(x[b, c])", "jvp", "y_dot[b, c] = x_dot[b, c]·(1 - y[b, c]²)"),
        ("y[b, h] = max[p:2](x[b, 2h + p])", "vjp", "y_star[b, h] = argmax[p:2](x[b, 2*h + p])"),
    ],
)
def test_answers(formula: str, modes: str, line: str) -> None:
    assert line in str(chainrule.derive(formula, modes=modes)).splitlines()


@pytest.mark.parametrize("mode", ["vjp", "jacobian"])
@pytest.mark.parametrize(
    "formula",
    [
        "y = x + z",
        "y = a·x + a·z + tanh(x + z + a)",
        "y = sum[i](exp(x[i] + z[i]))",
        "y = max[i](x[i] + z[i])",
        "loss = mean[b](-log(p[b, label[b]] + q[b, label[b]]))",
        "s[c] = sum[i](x[i]·w[i, c] + z[i]·w[i, c]); y = sum[c](tanh(s[c] + v[c]))",
        "s[i] = x[i] + z[i]; y = sum[i:4](s[i + 1]·s[i]) + sum[h:2, p:2](s[2h + p]·k[p])",
        "h[t] = tanh(z[t] + r·h[t - 1]) if t >= 1 else tanh(z[t] + q[t])",
    ],
)
def test_no_derivative_is_said_by_another(formula: str, mode: str) -> None:
    """A name with a mark is written above where a derivative reads it, and the steps to it are recorded."""
    derived = chainrule.derive(formula, modes=mode)
    lines = str(derived).splitlines()
    if mode == "vjp" and derived.modes[0].seeded is not None:
        return
    defined = {re.split(r"\W", line, maxsplit=1)[0] for line in lines if " = " in line or " += " in line}
    read = {n for line in lines if line[:1] == "∂" for n in re.findall(r"\w+_(?:bar|star)\w*", line)}
    assert any(line.startswith("∂") for line in lines)
    assert read <= defined, str(derived)
    assert derived.check().passed
    (one,) = derived.modes
    # The order of the steps of a recurrence is no rule's change.
    if not circles_of(one.plain.definitions):
        assert unrecorded(one.plain, one.simplified, one.simple) == []


def test_checks_pass_and_steps_replay() -> None:
    derived = chainrule.derive(
        "y[b, o] = tanh(sum[i](w[i, o]·x[b, i]) + bias[o])", modes="vjp,jvp,hvp,jacobian"
    )
    findings = derived.check()
    assert findings.passed, str(findings)
    assert {row.rung for row in findings.rows} >= {"steps", "interpreter", "adjoint", "Taylor"}
    for mode in derived.modes:
        assert unrecorded(mode.plain, mode.simplified, mode.simple) == []
    assert len(derived.steps) > 8


def test_a_wrong_answer_is_found() -> None:
    from dataclasses import replace

    from compiler.tools.derive.checks import check_derivation

    right = chainrule.derive("y[i] = sin(x[i])")
    wrong = chainrule.derive("y[i] = cos(x[i])")
    mixed = replace(right.modes[0], stable=wrong.modes[0].stable)
    assert not check_derivation(right.asked, [mixed], None).passed


def test_chain_rule_agrees_with_the_rule() -> None:
    """What is shown link by link is what the compiler's rule finds, for every body of the zoo."""
    seen = set()
    for case in other_layer_cases():
        for definition in case.build().definitions:
            for term in definition.terms:
                for symbol, _ in term.reads:
                    if (term.body, symbol) in seen:
                        continue
                    seen.add((term.body, symbol))
                    steps = chain_steps(term.body, symbol)
                    found = steps[0].result if steps else int(term.body == symbol)
                    body = own_nodes(term.body)
                    assert_same(found, body.diff(symbol), body)
    assert len(seen) > 100


def assert_same(found, right, body) -> None:
    difference = found - right
    for number in (1, 2, 3):
        values = {s: (k + 2) / (7 + number) for k, s in enumerate(sorted(body.free_symbols, key=str))}
        assert abs(complex(difference.xreplace({s: v for s, v in values.items()}).evalf())) < 1e-9, body


def test_html_and_latex() -> None:
    derived = chainrule.derive("y[b, c] = exp(x[b, c])/sum[k](exp(x[b, k]))")
    html = derived.html(steps=True)
    body = re.search(r"<body>.*</body>", html, re.DOTALL)
    assert body is not None
    ElementTree.fromstring(body[0].replace("&#160;", " "))
    assert "http" not in html
    assert html.count("<li>") == len(derived.steps)
    latex = derived.latex(steps=True)
    assert latex.count(r"\begin{gather*}") == latex.count(r"\end{gather*}") > len(derived.steps)
    assert derived._repr_latex_().startswith("$")
    assert derived._repr_html_().startswith("<section")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"formula": "y = "}, "nothing stands behind =(.|\n)*expected(.|\n)*try"),
        ({"formula": "y = 2x; z ="}, "nothing stands behind ="),
        ({"formula": "= 2x"}, "nothing stands before =(.|\n)*expected(.|\n)*try"),
        ({"formula": " "}, "the formula is empty(.|\n)*expected(.|\n)*try"),
        ({"formula": "y = x!"}, "! is no sign(.|\n)*expected(.|\n)*try"),
        ({"formula": "y = x·"}, r"nothing stands behind \*(.|\n)*expected(.|\n)*try"),
        ({"formula": "y = (3x"}, "never closed(.|\n)*expected(.|\n)*try"),
        ({"formula": "y = x", "wrt": "z"}, "no derivative by this"),
        ({"formula": "y = x", "modes": "grad"}, "no such mode"),
        ({"formula": "y = x", "sizes": {"i": 3}}, "no such axis"),
        ({"formula": "y = 3"}, "no tensor"),
        ({"formula": "y = √x²"}, r"√\(x²\) or \(√x\)²"),
        ({"formula": "y = √-x"}, "brackets behind it"),
        ({"formula": "y = sin²x"}, "sin needs brackets"),
        ({"formula": "y = sin⁻¹(x)"}, r"1/sin\(x\), or asin\(x\)"),
        ({"formula": "y = sin√x"}, "sin is a function"),
        ({"formula": "y = sin"}, "sin is a function"),
        ({"formula": "sum = x; y = sum·x"}, "sum is a reduction"),
        ({"formula": "y = e²"}, r"exp\(2\) for the exponential"),
        ({"formula": "y = e^(-2)·x"}, r"exp\(-2\) for the exponential"),
        ({"formula": "y = e·x + e^x"}, "read by itself"),
        ({"formula": "y[i] = x[i - 1]·x[i]"}, "can leave x(.|\n)*a choice"),
    ],
)
def test_mistakes(arguments: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        chainrule.derive(**arguments)


def test_an_answer_imports_what_it_uses() -> None:
    """Of what takes long to import: SymPy and NumPy. The collector of cycles looks at none of it again."""
    program = (
        "import gc, sys; from compiler.cli import main; code = main(); "
        "print(code, gc.get_freeze_count() > 100_000, gc.isenabled(), *sys.modules)"
    )
    command = [sys.executable, "-c", program, "derive", "y[b, o] = max(sum[i](w[i, o]·x[b, i]), 0)"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    code, frozen, collects, *modules = answer.splitlines()[-1].split()
    assert (code, frozen, collects) == ("0", "True", "True")
    rooms = {
        f"compiler.{room}" for room in ("emit", "plan", "schedule", "passes", "pipeline", "language.layers")
    }
    assert not rooms.intersection(modules)
    assert not {"email", "socket", "importlib.metadata", "jinja2", "Cython", "jax"}.intersection(modules)


def test_command() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        main = "import sys; from compiler.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", main, "derive", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    shown = run("y = (3x+2)²", "--steps", "--check")
    assert shown.returncode == 0, shown.stderr
    assert "dy/dx = 6·(3x + 2)" in shown.stdout
    assert "passed" in shown.stdout
    code = run("y[o] = sum[i](w[i, o]·x[i])", "--sizes", "i=2,o=3", "--format", "torch")
    assert "class Formula(torch.autograd.Function)" in code.stdout
    noted = run("y = sinx", "--format", "numpy")
    assert noted.stderr == "note: sinx is taken as a variable; sin(x)?\n"
    wrong = run("y = (3x")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: ")


def test_replay_of_a_jacobian_finds_a_wrong_step() -> None:
    from dataclasses import replace

    import numpy as np

    from compiler.derive.jacobian import jacobian
    from compiler.derive.vjp import vjp

    program = question("y[o] = sum[i](w[i, o]·x[i])").program
    pulled, _ = vjp(program, "y", ("x",), seed="input")
    _, record = jacobian(program, "y", ("x",))
    rng = np.random.default_rng(0)
    values = {t.name: rng.standard_normal(t.shape) for t in pulled.inputs}
    errors = [step.error for step in replayed(pulled, record, values, batch=1)]
    assert max(errors) < 1e-9
    (last,) = record[-1].new
    broken = replace(record[-1], new=(replace(last, terms=(*last.terms, *last.terms)),))
    assert list(replayed(pulled, (*record[:-1], broken), values, batch=1))[-1].error > 1e-3
