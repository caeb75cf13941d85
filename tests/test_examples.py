"""Every file of examples/ runs as it stands, and does what it says; the notebook's cells too."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import runpy
import sys
from pathlib import Path

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = ("train", "predict_one", "own_callback", "transfer", "thread_pool", "process_pool")


@pytest.fixture(scope="module")
def trained(workshop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `train.py` has been run: the others find its weights, and the module in the cache."""
    return tmp_path_factory.mktemp("examples")


@pytest.fixture(autouse=True)
def begun(trained: Path, hurried, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    monkeypatch.delenv("MNIST_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["example"])
    if not Path("weights").exists():
        run("train")


def run(name: str) -> dict[str, object]:
    return runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")


def test_all_of_them_are_run_and_named() -> None:
    files = {path.name for path in EXAMPLES.iterdir()} - {"README.md", "__pycache__"}
    assert files == {f"{name}.py" for name in (*SCRIPTS, "digits", "serve")} | {"notebook.ipynb"}
    pages = (EXAMPLES / "README.md", EXAMPLES.parent / "docs" / "training.md")
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert [name for name in files if name not in text] == [], page


def test_fit_in_a_script() -> None:
    """The fixture has run it."""
    assert Path("weights/digits.safetensors").exists()
    assert Path("history.png").read_bytes().startswith(b"\x89PNG")


def test_predicting_one_image(capsys, monkeypatch) -> None:
    digit = run("predict_one")["image"]
    Image.fromarray(digit[:, :, 0]).save("digit.png")
    said = capsys.readouterr().out
    assert said.startswith("this is a ")
    monkeypatch.setattr(sys, "argv", ["example", "digit.png"])
    run("predict_one")
    assert capsys.readouterr().out == said


def test_a_callback_of_ones_own() -> None:
    found = run("own_callback")
    history = found["history"].history
    assert len(found["history"].epoch) < 20 and history["val_accuracy"][-1] > 0.9
    assert history["learning_rate"][1] == pytest.approx(5e-3 * -(-1347 // 32) / 50)  # at its beginning


def test_transfer(capsys) -> None:
    found = run("transfer")
    assert set(found["loaded"].left) == {"dense_2.kernel", "dense_2.bias"}
    assert found["network"].step == 3 * -(-len(found["data"].x_train) // 32)
    assert found["history"].history["val_accuracy"][-1] > 0.9
    assert "dense_2.kernel has shape (32, 10), the model wants (32, 2)" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["thread_pool", "process_pool"])
def test_several_at_once(name: str, capsys) -> None:
    if name == "process_pool" and not hasattr(os, "fork"):
        pytest.skip("there is no fork")
    run(name)
    assert "accuracy" in (out := capsys.readouterr().out) or "right, counted by two processes" in out


def test_the_notebook() -> None:
    """Its cells in one session; the value of a last line is shown as a notebook shows it."""
    notebook = json.loads((EXAMPLES / "notebook.ipynb").read_text(encoding="utf-8"))
    assert notebook["nbformat"] == 4
    session, shown = {"__name__": "__main__"}, []
    for number, cell in enumerate(notebook["cells"]):
        assert not cell.get("outputs"), "outputs are not kept in the repository"
        if cell["cell_type"] == "code":
            shown.append(value_of(cell["source"], f"cell {number}", session))
    _, history, predictions, derivative = shown
    assert "<table>" in history._repr_html_() and "data:image/png" in history._repr_html_()
    assert sum(predictions[0] == predictions[1]) >= 7
    assert "{\\bar{x}}_{j} = " in derivative._repr_latex_()
    assert "<math" in derivative._repr_html_()


def value_of(source: str, where: str, session: dict[str, object]) -> object:
    """What the last line of a cell is, if it is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, where, "exec"), session)
    return None if last is None else eval(compile(ast.Expression(last.value), where, "eval"), session)


def test_a_web_service() -> None:
    pytest.importorskip("fastapi")
    app = run("serve")["app"]
    image = run("predict_one")["image"]
    Image.fromarray(image[:, :, 0]).save("digit.png")
    status, answer = asked(app, Path("digit.png").read_bytes())
    assert status == 200 and answer["digit"] in range(10) and len(answer["probabilities"]) == 10
    status, answer = asked(app, b"no image")
    assert status == 422 and "cannot be read as an image" in answer["detail"]


def asked(app, body: bytes) -> tuple[int, dict]:
    """What an application answers to a POST of /predict, by the protocol between servers and applications."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
        "client": ("test", 1),
        "server": ("test", 80),
    }
    asyncio.run(app(scope, receive, send))
    content = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(content)
