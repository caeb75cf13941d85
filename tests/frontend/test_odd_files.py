"""Model files that nobody writes on purpose: each is compiled, or refused with a message that says why."""

from __future__ import annotations

import builtins
import contextlib
import importlib
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest

from compiler.errors import ModelError
from compiler.frontend.parse import LONGEST_SOURCE, load_model
from compiler.toolchain.compile_file import digest_of

SMALL = (
    "from compiler import SGD, Dense, Input, MeanSquaredError, Sequential\n"
    "model = Sequential([Input(3), Dense(2)], loss=MeanSquaredError(), optimizer=SGD(0.1))\n"
)
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX files and signals")


def written(path: Path, text: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def message(path: Path) -> str:
    with pytest.raises(ModelError) as caught:
        load_model(path)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "print('noise')",
        "import os; os.write(1, b'noise')",
        "import sys; sys.__stdout__.write('noise')",
        "import subprocess; subprocess.run(['echo', 'noise'])",
        "import os; os.system('echo noise')",
    ],
)
def test_what_a_file_prints_goes_to_standard_error(text, tmp_path, capfd):
    path = written(tmp_path / "net.py", f"{text}\n{SMALL}")
    assert load_model(path).name == "net"
    found = capfd.readouterr()
    assert found.out == "" and found.err.strip() == "noise"
    print("results")
    assert capfd.readouterr().out == "results\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("raise SystemExit(3)", "the file ends the program"),
        ("import sys; sys.exit('no')", "the file ends the program"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise GeneratorExit", "GeneratorExit"),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("class Odd(BaseException): pass\nraise Odd", "Odd"),
        ("import asyncio; raise asyncio.CancelledError()", "CancelledError"),
        ("class Mute(Exception):\n    def __str__(self): raise ValueError\nraise Mute", "Mute"),
        ("raise MemoryError", "MemoryError"),
        ("def f(): f()\nf()", "RecursionError"),
        ("import sys; sys.setrecursionlimit(30)\nexec('f(' * 60)", "raised"),
        ("raise ModuleNotFoundError('x')", "ModuleNotFoundError"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_whatever_a_file_raises_is_a_problem_with_its_place(text, words, tmp_path):
    path = written(tmp_path / "net.py", text)
    found = message(path)
    assert words in found and f"{path}:" in found


@pytest.mark.parametrize(
    "raised", ["SystemExit(3)", "KeyboardInterrupt", "GeneratorExit", "ValueError('odd')"]
)
def test_a_layer_that_raises_when_it_is_asked_for_its_formula(raised, tmp_path):
    path = written(
        tmp_path / "net.py",
        "from compiler import *\nclass Odd(Layer):\n    def forward(self, x):\n"
        f"        print('noise')\n        raise {raised}\n"
        "model = Sequential([Input(3), Odd(), Dense(2)], loss=MeanSquaredError(), optimizer=SGD())\n",
    )
    assert f"{path}:5" in message(path)


@pytest.mark.parametrize("raised", ["KeyError('odd')", "AttributeError", "GeneratorExit", "SystemExit(1)"])
def test_an_initializer_that_raises_when_it_is_asked_for_its_constants(raised, tmp_path):
    path = written(
        tmp_path / "net.py",
        "from compiler import *\nclass Odd(Zeros):\n    def constants(self, shape):\n"
        f"        raise {raised}\n"
        "layers = [Input(3), Dense(2, kernel_initializer=Odd())]\n"
        "model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD())\n",
    )
    assert f"{path}:4" in message(path)


@posix
def test_a_real_interrupt_is_one(tmp_path):
    path = written(
        tmp_path / "net.py", "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)"
    )
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            load_model(path)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def state() -> dict[str, object]:
    """What a file may have changed in this process."""
    handlers = {n: signal.getsignal(n) for n in signal.valid_signals()}
    timers = signal.getitimer(signal.ITIMER_REAL) if hasattr(signal, "getitimer") else None
    hooks = [getattr(sys, n) for n in ("stdout", "stderr", "stdin", "excepthook", "displayhook", "argv")]
    umask = os.umask(0o022)
    os.umask(umask)
    return {
        "path": (id(sys.path), list(sys.path)),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "recursion": sys.getrecursionlimit(),
        "warnings": list(warnings.filters),
        "signals": (handlers, timers),
        "hooks": hooks,
        "finders": list(sys.meta_path),
        "umask": umask,
        "trace": (sys.gettrace(), sys.getprofile()),
        "errors": np.geterr(),
        "print": builtins.print,
        "modules": {name: id(sys.modules.get(name)) for name in ("numpy", "compiler", "json", "sys")},
    }


CHANGES = [
    "import sys; sys.path.clear()",
    "import sys; sys.path = ['/nowhere']",
    "import sys; sys.path.insert(0, '/nowhere')",
    "import os; os.chdir('/')",
    "import os; os.environ['CHAINRULE_ODD'] = '1'",
    "import os; os.environ.clear()",
    "import sys; sys.setrecursionlimit(150)",
    "import sys; sys.setrecursionlimit(10**6)",
    "import warnings; warnings.simplefilter('error')",
    "import warnings; warnings.resetwarnings()",
    "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)",
    "import signal; signal.signal(signal.SIGTERM, lambda number, frame: None)",
    "import signal; signal.alarm(1000)",
    "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])",
    "import sys; sys.stdout = None",
    "import sys; sys.stdout.close()",
    "import sys; sys.stdout = sys.stderr = object()",
    "import sys; sys.stderr = sys.stdout = open('/dev/null', 'w')",
    "import sys; sys.argv[:] = []",
    "import sys; sys.modules['numpy'] = None",
    "import sys; del sys.modules['compiler'], sys.modules['json']",
    "import sys; sys.modules = {}",
    "import sys; sys.excepthook = print",
    "import sys; sys.meta_path.clear()",
    "import os; os.umask(0)",
    "import numpy; numpy.seterr(all='raise')",
    "import builtins; builtins.print = len; builtins.odd = 1",
]


@posix
@pytest.mark.parametrize("change", CHANGES)
def test_what_a_file_changes_in_the_process_is_put_back(change, tmp_path):
    path = written(tmp_path / "net.py", f"{SMALL}\n{change}\n")
    before = state()
    with contextlib.suppress(ModelError):
        load_model(path)
    assert state() == before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set() and not hasattr(builtins, "odd")


@posix
@pytest.mark.parametrize("cases", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_any_changes_together_are_put_back(cases, tmp_path):
    """Some of the changes in any order, and then an end of any kind."""
    ends = ["", "raise SystemExit", "raise KeyboardInterrupt", "1/0", "raise GeneratorExit"]
    draw = random.Random(0)
    before = state()
    for _ in range(cases):
        chosen = draw.sample(CHANGES, draw.randint(1, 5))
        path = written(tmp_path / "net.py", "\n".join([*chosen, draw.choice(ends)]))
        with pytest.raises(ModelError):
            load_model(path)
        assert state() == before, chosen


@posix
def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "link.py").symlink_to("/dev/zero")
    for path, kind in (("pipe.py", "a FIFO"), ("link.py", "a device"), ("/dev/zero", "a device")):
        found: list[str] = []
        thread = threading.Thread(target=lambda p=path, f=found: f.append(message(tmp_path / p)), daemon=True)
        thread.start()
        thread.join(10)
        assert found and f"is {kind}" in found[0], path


def test_a_file_that_is_too_long(tmp_path):
    path = written(tmp_path / "net.py", "#" * 10_000_000)
    assert "10,000,000 bytes" in message(path)
    path.write_text(SMALL + "#" * (LONGEST_SOURCE - len(SMALL)))
    assert load_model(path).name == "net"


def test_nested_too_deeply(tmp_path):
    for text in ("(" * 150 + ")" * 150, "x = " + "-" * 50_000 + "1", "x = 1" + " + 1" * 200_000):
        assert "net.py" in message(written(tmp_path / "net.py", text))


@pytest.mark.parametrize(
    "source",
    [
        b"\xef\xbb\xbf" + SMALL.encode(),
        b"\xef\xbb\xbf# -*- coding: utf-8 -*-\n" + SMALL.encode(),
        b"# -*- coding: latin-1 -*-\nname = '\xe9'\n" + SMALL.encode(),
        b"#!/usr/bin/env python\n# vim: set fileencoding=cp1252 :\nname = '\x80'\n" + SMALL.encode(),
        SMALL.replace("\n", "\r\n").encode(),
        SMALL.replace("\n", "\r").encode(),
    ],
    ids=["mark", "mark and name", "latin-1", "second line", "crlf", "cr"],
)
def test_encodings(source, tmp_path):
    assert load_model(written(tmp_path / "net.py", source)).name == "net"


def test_an_encoding_that_is_not_one(tmp_path):
    path = written(tmp_path / "net.py", b"# coding: klingon\n" + SMALL.encode())
    assert f"{path}:1: Python cannot read this: unknown encoding: klingon" in message(path)
    assert "Python cannot read this" in message(written(path, SMALL.encode("utf-16")))
    assert "is not a text file" in message(written(path, b"# coding: ascii\nx = '\xe9'\n"))


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("nets/__init__.py", "nets"),
        ("nets/__main__.py", "nets"),
        ("numpy.py", "model_numpy"),
        ("string.py", "model_string"),
        ("threading.py", "model_threading"),
        ("class.py", "model_class"),
        ("None.py", "model_None"),
        ("match.py", "match"),
        ("2 layers.py", "model_2_layers"),
        ("µ.py", "μ"),
        ("__odd__.py", "model_odd"),
        ("net.with.dots.py", "net_with_dots"),
    ],
)
def test_names_of_files(file, name, tmp_path):
    """A name that Python can import, and that takes nothing away from those who import others."""
    path = written(tmp_path / file, f"import numpy, string, threading\nnumpy.zeros(3)\n{SMALL}")
    model = load_model(path)
    assert model.name == name and not model.problems
    assert sys.modules["numpy"] is np and importlib.import_module("string").digits


@pytest.mark.parametrize("name", ["numpy", "os", "__init__", "class", "a b", 3, ""])
def test_names_that_a_model_cannot_have(name, tmp_path):
    path = written(tmp_path / "net.py", SMALL.replace("loss=", f"name={name!r}, loss="))
    assert "wrong model name" in message(path)


def test_neighbours_called_like_what_the_compiler_imports(tmp_path):
    """None of them is run in the place of the real one, while the file runs or later."""
    for name in ("numpy", "sympy", "random", "types", "compiler", "runtime", "mpmath"):
        written(tmp_path / f"{name}.py", "raise RuntimeError('the wrong module')")
    path = written(tmp_path / "net.py", f"import random, numpy\nimport sympy\n{SMALL}")
    assert load_model(path).name == "net"


def test_two_folders_with_files_of_the_same_names(tmp_path):
    """Each has its own neighbours, and is a network of its own, whatever was imported before."""
    source = (
        "from compiler import *\nfrom layers_of_mine import last\nimport blocks_of_mine.deep as deep\n"
        "layers = [Input(3), *last, Dense(deep.units)]\n"
        "model = Sequential(layers, loss=MeanSquaredError(), optimizer=SGD(0.1))\n"
    )
    for folder, layer, units in (("one", "ReLU()", 2), ("two", "Tanh()", 2), ("three", "ReLU()", 3)):
        written(
            tmp_path / folder / "layers_of_mine.py", f"from compiler import *\nlast = [Dense(2), {layer}]\n"
        )
        written(tmp_path / folder / "blocks_of_mine" / "__init__.py", "")
        written(tmp_path / folder / "blocks_of_mine" / "deep.py", f"units = {units}\n")
        written(tmp_path / folder / "net.py", source)
    stranger = type(sys)("layers_of_mine")
    sys.modules["layers_of_mine"] = stranger
    try:
        models = [load_model(tmp_path / folder / "net.py") for folder in ("one", "two", "three", "one")]
        assert sys.modules["layers_of_mine"] is stranger
    finally:
        del sys.modules["layers_of_mine"]
    assert "blocks_of_mine" not in sys.modules and "blocks_of_mine.deep" not in sys.modules
    networks = [model.network() for model in models]
    assert len(set(networks)) == 3 and networks[0] == networks[3]
    # So it is in what their modules and weights are known by.
    digests = [digest_of(model, "float32") for model in models]
    assert len({digest.partition("-")[0] for digest in digests}) == 3 and digests[0] == digests[3]
    assert digest_of(models[0], "float64").partition("-")[0] == digests[0].partition("-")[0]
    # Another optimizer is another program, and the same network.
    path = tmp_path / "one" / "net.py"
    path.write_text(source.replace("0.1", "0.2"))
    changed = load_model(path)
    assert changed.network() == networks[0] and changed.fingerprint() != models[0].fingerprint()
