"""Building: the cache, what two or interrupted builds leave behind, and what a failure says."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from compiler.cli import compile_main, main
from compiler.toolchain import cache
from compiler.toolchain.compile_file import Options, compile_file
from tests.workshop import ROOT, SMALL, import_module

pytestmark = pytest.mark.usefixtures("hurried")


def ours(**variables: str) -> dict[str, str]:
    """The environment of a process in which the compiler can be imported."""
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "small.py"
    path.write_text(SMALL)
    return path


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("CHAINRULE_CACHE", str(folder))
    return folder


def start(arguments: list[str], folder: Path, **environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "compiler", *arguments],
        cwd=folder,
        env=ours(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_second_compilation_comes_from_the_cache(model: Path, empty_cache: Path, tmp_path: Path) -> None:
    first = compile_file(model, Options(tmp_path / "one", "scalar"))
    second = compile_file(model, Options(tmp_path / "two", "scalar"))
    assert (first.cached, second.cached) == (False, True)
    assert second.facts == first.facts
    assert first.source.read_bytes() == second.source.read_bytes()
    assert first.module.read_bytes() == second.module.read_bytes()
    # A comment is no change of the model; a number is.
    model.write_text("# the same\n" + SMALL)
    assert compile_file(model, Options(tmp_path / "three", "scalar")).cached
    model.write_text(SMALL.replace("0.1", "0.2"))
    changed = compile_file(model, Options(tmp_path / "four", "scalar"))
    assert not changed.cached
    assert import_module(changed.module).Network().learning_rate == 0.2


def test_options_have_entries_of_their_own(model: Path, workshop: Path, tmp_path: Path) -> None:
    texts = set()
    for dtype, target in (("float32", "scalar"), ("float64", "scalar")):
        result = compile_file(model, Options(tmp_path, target, dtype))
        assert result.facts["dtype"] == dtype
        assert result.facts["target"] == target
        texts.add(result.source.read_text())
    assert len(texts) == 2


@pytest.mark.parametrize("seed", ["0", *(pytest.param(seed, marks=pytest.mark.long) for seed in "12")])
def test_same_bytes_for_any_hash_seed_and_folder(seed: str, models, tmp_path: Path) -> None:
    """Without a cache, in another working directory, those of tests/golden, whose own test draws its seed."""
    script = (
        "import sys; from pathlib import Path\n"
        "from compiler.frontend.parse import load_model\n"
        "from compiler.module_source import compile_to_source\n"
        "from compiler.machine.registry import all_targets\n"
        "model, machine = load_model(sys.argv[1]), all_targets()['x86-64-v3']\n"
        "source = compile_to_source(model, machine, 'float32', 'golden')\n"
        "Path('out.pyx').write_text(source.text)"
    )
    command = [sys.executable, "-c", script, str(models("tiny"))]
    subprocess.run(command, cwd=tmp_path, env=ours(PYTHONHASHSEED=seed), check=True)
    assert (tmp_path / "out.pyx").read_bytes() == (ROOT / "tests/golden/tiny.pyx").read_bytes()


def test_two_compilations_at_once(model: Path, tmp_path: Path) -> None:
    """Of the same model, into the same folder, through the same empty cache."""
    arguments = [str(model), "--target", "scalar", "--out", str(tmp_path / "out")]
    runs = [start(arguments, tmp_path, CHAINRULE_CACHE=str(tmp_path / "cache")) for _ in range(2)]
    for run in runs:
        _, errors = run.communicate(timeout=100)
        assert run.returncode == 0, errors
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 3, names
    module = next(path for path in (tmp_path / "out").iterdir() if path.suffix == ".so")
    assert import_module(module).MODEL_NAME == "small"
    entries = list((tmp_path / "cache" / "modules").iterdir())
    assert len(entries) == 1, entries


def test_killed_build_leaves_everything_usable(model: Path, empty_cache: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    old = compile_file(model, Options(out, "scalar"))
    kept = old.module.read_bytes()
    model.write_text(SMALL.replace("0.1", "0.3"))
    command = [str(model), "--target", "scalar", "--out", str(out)]
    run = start(command, tmp_path, CHAINRULE_CACHE=str(empty_cache))
    modules = empty_cache / "modules"
    deadline = time.monotonic() + 60
    while not list(modules.glob(".building-*/*")) and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    run.send_signal(signal.SIGKILL)
    run.communicate()
    assert run.returncode == -signal.SIGKILL, "it was to be killed while it was building"
    assert old.module.read_bytes() == kept
    assert sorted(path.name for path in out.iterdir()) == sorted(
        f.name for f in (old.source, old.module, old.stub)
    )
    again = compile_file(model, Options(out, "scalar"))
    assert not again.cached
    assert import_module(again.module).Network().learning_rate == 0.3


@pytest.mark.parametrize("step", ["mkdtemp", "replace"])
def test_full_disk(step: str, model: Path, workshop: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """In the cache or in the output folder: exit code 1, the reason, and the old files as they were."""
    out = tmp_path / "out"
    old = compile_file(model, Options(out, "scalar"))
    kept = old.source.read_bytes(), old.module.read_bytes()
    model.write_text(SMALL.replace("0.1", "0.4" if step == "replace" else "0.5"))

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache.tempfile if step == "mkdtemp" else cache.os, step, full)
    assert compile_main([str(model), "--target", "scalar", "--out", str(out), "--quiet"]) == 1
    message = capsys.readouterr().err
    assert "No space left" in message
    assert "disk is full" in message
    assert "Traceback" not in message
    assert (old.source.read_bytes(), old.module.read_bytes()) == kept
    assert len(list(out.iterdir())) == 3


def test_unwritable_cache(model: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """A file stands where the cache's folder should be."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file"))
    assert compile_main([str(model), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_no_c_compiler(model: Path, workshop: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    for variable, value in (("CC", "/nonexistent/cc"), ("PATH", str(tmp_path))):
        with monkeypatch.context() as patch:
            patch.delenv("CC", raising=False)
            patch.setenv(variable, value)
            assert compile_main([str(model), "--out", str(tmp_path / "out")]) == 1
            message = capsys.readouterr().err
            for words in ("no C compiler was found", "gcc or clang", "apt install", "chainrule doctor"):
                assert words in message
            assert main(["doctor"]) == 1
            report = capsys.readouterr().out
            assert "MISSING" in report
            assert "not ready" in report
    assert not (tmp_path / "out").exists()


def test_doctor(workshop: Path, capsys) -> None:
    assert main(["doctor"]) == 0
    report = capsys.readouterr().out
    for words in ("Python", "numpy", "sympy", "cython", "C compiler", "native target", "ready to compile"):
        assert words in report


def test_unknown_target(model: Path, workshop: Path, tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stopped:
        compile_main([str(model), "--target", "z80", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert "z80" in message
    assert "x86-64-v3" in message


def test_all_problems_of_a_model_file(workshop: Path, tmp_path: Path, capsys) -> None:
    path = tmp_path / "wrong.py"
    text = SMALL.replace("Dense(2)", "Dense(-2),\n    Dense(0)")
    path.write_text(text)
    assert compile_main([str(path), "--out", str(tmp_path / "out"), "--quiet"]) == 1
    message = capsys.readouterr().err
    assert message.count("units") == 2
    assert f"{path}:3" in message
    assert f"{path}:4" in message
    assert compile_main([str(tmp_path / "missing.py"), "--quiet"]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_interrupt(model: Path, workshop: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("compiler.cli.compile_file", interrupted)
    assert main(["compile", str(model)]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_wrong_usage(capsys) -> None:
    for arguments in (["--no-such-option"], ["compile"], []):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    capsys.readouterr()


def test_layers_called_like_something_in_the_module(tmp_path: Path) -> None:
    """Translated to C only: that is where a name that means something else shows."""
    from compiler.frontend.parse import load_model
    from compiler.machine.registry import all_targets
    from compiler.module_source import compile_to_source
    from compiler.toolchain.build import translate

    path = tmp_path / "named.py"
    names = ("uniform", "load", "range", "min", "float", "np", "Network", "memset")
    path.write_text(SMALL.replace("Dense(2)", ", ".join(f"Dense(2, name={name!r})" for name in names)))
    source = compile_to_source(load_model(path), all_targets()["scalar"], "float32", "digest")
    (tmp_path / "module.pyx").write_text(source.text)
    translate(tmp_path / "module.pyx")
