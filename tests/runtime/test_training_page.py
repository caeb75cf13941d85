"""The examples of docs/training.md, run from its top to its end."""

import re
import sys
from pathlib import Path
from types import ModuleType

import fake_network

PAGE = Path(__file__).parents[2] / "docs" / "training.md"


def test_every_example_runs(tmp_path, monkeypatch):
    """In one session, as a reader would type them; a network of a few lines stands for the generated one."""
    monkeypatch.chdir(tmp_path)
    generated = ModuleType("generated")
    generated.mnist = fake_network.make_module("generated.mnist")
    monkeypatch.setitem(sys.modules, "generated", generated)
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(examples) >= 4
    session = {}
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), session)
    files = {path.name for path in tmp_path.iterdir()}
    assert {"best.safetensors", "history.csv"} <= files
    assert session["state"].epoch >= 1
    assert session["again"].step > session["state"].step
