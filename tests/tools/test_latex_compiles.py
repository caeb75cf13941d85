"""LaTeX that is written compiles with stock TeX Live; skipped where there is none."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from compiler.tools.derive.api import Derivation, derive
from compiler.tools.derive.derivation import derive_modes
from compiler.tools.derive.problem import asked
from compiler.tools.explain.as_latex import as_latex
from compiler.tools.explain.example import journey
from compiler.tools.explain.material import material
from compiler.tools.explain.outline import outline
from tests.derive.layer_cases import other_layer_cases
from tests.tools.test_explain_browser import DENSE
from tests.tools.test_explain_example import as_if_measured, constructed

FORMULAS = (
    ("y = (3x + 2)²", "vjp"),
    ("y[b, c] = exp(x[b, c]) / sum[k](exp(x[b, k]))", "vjp,jvp,hvp"),
    ("p[c] = exp(z[c])/sum[k](exp(z[k]))", "jacobian"),
    ("y[b, h] = max[p:2](x[b, 2h + p])", "vjp"),
    ("y[b, i] = 2·x[b, i] if u[b, i] >= 1/2 and x[b, i] != 0 else abs(x[b, i])", "vjp"),
    ("y[b, t] = x[b, t] + (a·y[b, t - 1] if t >= 1 else 0)", "vjp"),
    ("y[b, h] = sum[p:3](k[p]·pad(x, 0)[b, (h + p) // 2]) + sqrt(s[h % 2])", "vjp"),
)


@pytest.fixture(scope="module")
def pdflatex() -> str:
    found = shutil.which("pdflatex")
    if found is None:
        pytest.skip("there is no pdflatex here")
    return found


def compiles(pdflatex: str, document: str, folder: Path) -> None:
    (folder / "page.tex").write_text(document, encoding="utf-8")
    command = [pdflatex, "-interaction=nonstopmode", "-halt-on-error", "-draftmode", "page.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=300)
    log = done.stdout.decode("latin-1")
    assert done.returncode == 0, "\n".join(re.findall(r"^!.*(?:\n.*){4}", log, re.MULTILINE))
    assert "undefined" not in log


def together(documents: Iterable[str]) -> str:
    """The bodies of several documents under the head of the first."""
    documents = list(documents)
    head = documents[0].partition(r"\begin{document}")[0]
    bodies = [d.partition(r"\begin{document}")[2].partition(r"\end{document}")[0] for d in documents]
    return "\n".join([head, r"\begin{document}", *bodies, r"\end{document}"])


def test_derivations(pdflatex: str, tmp_path: Path) -> None:
    derived = (derive(formula, modes=modes).latex(steps=True) for formula, modes in FORMULAS)
    compiles(pdflatex, together(derived), tmp_path)


def test_the_page_of_a_model(pdflatex: str, tmp_path: Path) -> None:
    """Every part of it."""
    path = tmp_path / "model_of_lines.py"
    path.write_text(DENSE, encoding="utf-8")
    model = material(path, "x86-64-v3", "float32", "kernels")
    way = journey(model)
    assert way is not None
    document = as_latex(outline(model, None, as_if_measured(model, way), constructed()))
    compiles(pdflatex, document, tmp_path)


@pytest.mark.long
def test_derivations_of_every_layer(pdflatex: str, tmp_path: Path) -> None:
    documents = []
    for case in other_layer_cases():
        question = asked(case.name, case.build(), case.output, case.wrt)
        documents.append(Derivation(question, derive_modes(question, ("vjp",))).latex(steps=True))
    compiles(pdflatex, together(documents), tmp_path)
