"""`chainrule explain`: a page that opens anywhere, and says what the compiler recorded."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from compiler.cli import main
from compiler.tools.check.report import Report
from compiler.tools.explain.as_html import as_html
from compiler.tools.explain.as_latex import as_latex
from compiler.tools.explain.as_words import as_markdown, as_text
from compiler.tools.explain.blocks import Block, Code, Fold, Formulas, Graph, Heading, Table
from compiler.tools.explain.layers import anchor, origins
from compiler.tools.explain.material import Material, material
from compiler.tools.explain.outline import outline
from compiler.tools.explain.whole import paths, shortest_path

ROOT = Path(__file__).parents[2]
MOST_BYTES = 3_000_000
CHECKED = Report(
    "small", 3, {"w": {("VJP", "interpreter"): 1e-16}}, {"Hessian": 2e-16}, {"Taylor, loss": 2.0}
)


@cache
def explained(model: str) -> tuple[Material, tuple[Block, ...]]:
    found = material(ROOT / model, "x86-64-v3")
    return found, outline(found, CHECKED)


MNIST = "models/mnist.py"
RESIDUAL = """
from chainrule import Conv2D, CrossEntropy, Dense, Flatten, Input, Model, ReLU, SGD, Softmax

x = Input(5, 5, 1)
h = Conv2D(2, 3, padding="same", name="first")(x)
h = ReLU()(Conv2D(2, 3, padding="same")(h) + h)
y = Softmax()(Dense(3)(Flatten()(h)))
model = Model(x, y, loss=CrossEntropy(), optimizer=SGD(0.1), name="a <model> & more")
"""


def tree(page: str) -> ElementTree.Element:
    return ElementTree.fromstring(page.partition("\n")[2])


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> tuple[Material, tuple[Block, ...]]:
    path = tmp_path_factory.mktemp("explained") / "residual.py"
    path.write_text(RESIDUAL.replace("a <model> & more", "residual"), encoding="utf-8")
    found = material(path, "x86-64-v3")
    return found, outline(found)


def test_the_page_is_one_well_formed_file() -> None:
    _, blocks = explained(MNIST)
    page = as_html(blocks)
    assert len(page.encode()) < MOST_BYTES
    root = tree(page)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(ids)) == len(ids)
    links = [element.get("href") for element in root.iter("a")]
    assert links
    assert all(link.startswith("#") and link[1:] in ids for link in links)
    for outside in ("http:", "https:", 'src="http', "@import", "<script src", "<link"):
        assert outside not in page
    assert set(re.findall(r"url\(([^)]*)\)", page)) == {"#tip"}


def test_the_page_can_be_read_in_other_ways() -> None:
    """A language, a name for what is no text, headings in order, formulas that are mathematics."""
    _, blocks = explained(MNIST)
    root = tree(as_html(blocks))
    assert root.get("lang") == "en"
    levels = [int(e.tag[1]) for e in root.iter() if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))
    assert all(svg.get("aria-label") for svg in root.iter("svg"))
    assert all(formula.get("alttext") for formula in root.iter("math"))
    assert all(cell.get("scope") == "col" for cell in root.iter("th"))


def test_every_layer_has_its_part_and_its_record() -> None:
    model, blocks = explained(MNIST)
    headings = {block.anchor for block in blocks if isinstance(block, Heading)}
    assert headings >= {anchor(origin) for origin in origins(model.training)}
    both = {f"{anchor(name)}.{form}" for name in ("conv2d_1", "dense_1") for form in ("short", "long")}
    assert headings >= both
    steps = sum(block.kind == "step" for block in walk(blocks) if hasattr(block, "kind"))
    recorded = sum(len(model.record(origin)) for origin in origins(model.training))
    assert steps == recorded + len(model.arranged)
    assert steps > 20
    (graph,) = [block for block in blocks if isinstance(block, Graph)]
    assert ("conv2d_1", "relu_1") in graph.back
    # No parameter needs the derivative by the images.
    assert ("input", "conv2d_1") in set(graph.arrows) - graph.back


def walk(blocks: tuple[Block, ...]):
    for block in blocks:
        yield block
        if isinstance(block, Fold):
            yield from walk(block.blocks)


def test_what_everybody_knows_appears() -> None:
    """Softmax and cross-entropy leave p - y, and the code of a kernel stands beside its layer."""
    _, blocks = explained(MNIST)
    text = as_text(blocks)
    assert "dense_1_bar[b, c] = softmax_1[b, c]/batch_size" in text or (
        "dense_1_bar[b, c] += softmax_1[b, c]/batch_size" in text
    )
    assert "dense_1_bar[b, label[b]] += -1/batch_size" in text
    codes = [block for block in walk(blocks) if isinstance(block, Code)]
    assert any(block.text.startswith("cdef void conv2d_1(") for block in codes)


def test_the_chain_rule_of_the_whole_model_is_said() -> None:
    """A product to each parameter, last factor first; Jacobians by their entries; what both ways share."""
    model, blocks = explained(MNIST)
    text = as_text(blocks)
    tables = {block.caption: block for block in walk(blocks) if isinstance(block, Table)}
    never = {row[0]: row for row in tables["What is multiplied, and never formed"].rows}
    assert list(never) == [parameter.name for parameter in model.source.lowered.parameters]
    path = shortest_path(model.training, "dense_1.kernel", "loss")
    assert never["dense_1.kernel"][1] == str(len(path))
    # Of the logits by the kernel: 10 by 1,600 by 10.
    assert never["dense_1.kernel"][3] == f"{10 * 1600 * 10:,}"
    shared = tables["What the compiled step shares between the two ways"]
    kept = {row[0] for row in shared.rows}
    # The slope by the logits is p - y; of a pool's window what was largest is kept, not all of it.
    assert kept >= {"input", "label", "softmax_1", "maxpool2d_1"}
    assert not kept & {"conv2d_1", "relu_1"}
    assert "Not kept: " in text


def test_the_table_of_the_check_is_the_evidence() -> None:
    model, blocks = explained(MNIST)
    tables = {block.caption: block for block in walk(blocks) if isinstance(block, Table)}
    assert tables["Errors in float64, 3 random examples"].rows == (("w", "1.0e-16"),)
    wholes = tables["Of all parameters together"].rows
    assert wholes == (("Hessian", "2.0e-16"), ("Taylor, loss: slope", "2.000"))
    assert "passed" in as_text(blocks).split("Evidence")[-1]
    wrong = replace(CHECKED, errors={"w": {("VJP", "interpreter"): 0.5}})
    assert "FAILED" in as_text(outline(model, wrong)).split("Evidence")[-1]


def test_kinks_counts_and_arrangements_are_said() -> None:
    model, blocks = explained(MNIST)
    text = as_text(blocks)
    # A convention stands where a formula has the kink, and nowhere else.

    assert "that of max(x, 0) is 0 at 0" in text and "the first has all of the derivative" in text
    assert text.count("that of max(x, 0) is 0 at 0") == 2 and "abs(a)" not in text
    assert "a saved output says it for less (operations: " in text
    for step in model.steps:
        for rewrite in step.rewrites:
            assert rewrite.why in text, rewrite


def test_every_kernel_is_the_modules_own() -> None:
    """The code is printed as it stands in the generated module."""
    model, blocks = explained(MNIST)
    module = model.source.text.splitlines()
    for block in walk(blocks):
        if isinstance(block, Code):
            for line in block.text.splitlines():
                assert any(line.strip() in other for other in module), line


def test_branches_are_said(residual) -> None:
    model, blocks = residual
    # Around the second convolution or through it, and above and below the softmax's fraction.
    assert paths(model.training, "first.kernel", "loss") == 4
    path = shortest_path(model.training, "first.kernel", "loss")
    assert path[0].name == "first"
    assert path[-1].name == "loss"
    graph = next(block for block in blocks if isinstance(block, Graph))
    assert len([arrow for arrow in graph.arrows if arrow[0] == "first"]) == 2
    assert "float64" in as_text(blocks)
    tree(as_html(blocks))


def test_a_dash_is_standard_output(tmp_path, monkeypatch, capsys) -> None:
    """A file called - was written."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.py"
    path.write_text(
        "from chainrule import *\n\nx = Input(2)\n"
        "model = Model(x, Dense(1)(x), loss=MeanSquaredError(), optimizer=SGD(0.1))\n",
        encoding="utf-8",
    )
    assert main(["explain", str(path), "--quick", "--format", "text", "-o", "-"]) == 0
    assert "small" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["small.py"]


@pytest.mark.parametrize("write", [as_text, as_markdown, as_latex], ids=lambda f: f.__name__)
def test_other_formats(write, residual) -> None:
    for _, blocks in (explained(MNIST), residual):
        page = write(blocks)
        for block in blocks:
            if isinstance(block, Heading):
                assert block.text.replace("_", r"\_") in page or block.text in page
        if write is as_latex:
            assert page.count(r"\begin{") == page.count(r"\end{")
            plain = re.sub(r"\\begin\{verbatim\}.*?\\end\{verbatim\}", "", page, flags=re.DOTALL)
            plain = plain.replace(r"\{", "").replace(r"\}", "")
            assert plain.count("{") == plain.count("}")
            assert plain.isascii() or not set(plain) - set(map(chr, range(256)))


def test_formulas_of_the_page_are_printable(residual) -> None:
    for block in walk(residual[1]):
        if isinstance(block, Formulas):
            assert block.nodes


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "residual.py"
    path.write_text(RESIDUAL.replace("a <model> & more", "residual"), encoding="utf-8")
    out = tmp_path / "page.html"
    assert main(["explain", str(path), "--target", "x86-64-v3", "-o", str(out)]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    tree(out.read_text(encoding="utf-8"))
