"""The package that users import: the names of the language, `compile`, and nothing that takes time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule
import compiler
from compiler.errors import ModelError
from compiler.frontend.parse import load_model
from compiler.toolchain.compile_file import Options, compile_file
from runtime import callbacks

ROOT = Path(__file__).resolve().parent.parent
FILE = """
from {package} import Adam, CrossEntropy, Dense, Input, Sequential, Softmax
model = Sequential([Input(4), Dense(3), Softmax()], loss=CrossEntropy(), optimizer=Adam(1e-3))
"""


def small_model(units: int = 3, **fields) -> chainrule.Model:
    return chainrule.Sequential(
        [chainrule.Input(4), chainrule.Dense(units), chainrule.Softmax()],
        loss=chainrule.CrossEntropy(),
        optimizer=chainrule.SGD(0.1),
        **fields,
    )


def python(script: str, folder: Path = ROOT) -> str:
    command = [sys.executable, "-c", script]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_it_has_the_names_of_the_language_and_no_list_of_its_own() -> None:
    assert chainrule.__all__ == compiler.__all__
    assert all(getattr(chainrule, name) is getattr(compiler, name) for name in compiler.__all__)
    assert {*compiler.__all__, "compile"} <= set(dir(chainrule))
    namespace: dict[str, object] = {}
    exec("from chainrule import *", namespace)
    assert namespace["Conv2D"] is compiler.Conv2D
    assert "compile" not in namespace, "a model file keeps Python's own"


def test_what_it_has_not_is_said() -> None:
    with pytest.raises(AttributeError, match="'chainrule' has no attribute 'Conv4D'"):
        chainrule.Conv4D  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'Dens'; did you mean 'Dense'"):
        chainrule.Dens  # noqa: B018
    with pytest.raises(ImportError, match="Conv4D"):
        exec("from chainrule import Conv4D")
    assert not hasattr(chainrule, "language"), "a room of the compiler is no name of the language"


def test_importing_it_loads_nothing() -> None:
    script = "import sys, chainrule; print(*sorted({n.partition('.')[0] for n in sys.modules} & %r))"
    assert python(script % {"compiler", "sympy", "numpy", "jinja2", "Cython"}) == ""


def test_describing_a_model_needs_no_sympy() -> None:
    assert python("import sys; from chainrule import Conv2D, Model; print('sympy' in sys.modules)") == "False"


@pytest.mark.parametrize("package", ["chainrule", "compiler"])
def test_it_says_its_version(package: str) -> None:
    command = [sys.executable, "-m", package, "--version"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == f"chainrule {chainrule.__version__}\n"


def test_it_runs_as_a_command() -> None:
    command = [sys.executable, "-m", "chainrule", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "The gradient compiler." in result.stdout


@pytest.mark.parametrize("package", ["chainrule", "compiler"])
class TestFiles:
    def test_either_name_gives_the_same_model(self, package: str, tmp_path: Path) -> None:
        path = tmp_path / "small.py"
        path.write_text(FILE.format(package=package))
        other = tmp_path / "other" / "small.py"
        other.parent.mkdir()
        other.write_text(FILE.format(package="compiler"))
        assert load_model(path).fingerprint() == load_model(other).fingerprint()

    def test_a_name_that_does_not_exist(self, package: str, tmp_path: Path) -> None:
        path = tmp_path / "small.py"
        path.write_text(FILE.format(package=package).replace("Dense,", "Dens,").replace("Dense(", "Dens("))
        with pytest.raises(ModelError) as error:
            load_model(path)
        assert f"{package} has no Dens" in str(error.value) and "Dense" in str(error.value)

    def test_a_name_that_is_not_imported(self, package: str, tmp_path: Path) -> None:
        path = tmp_path / "small.py"
        path.write_text(FILE.format(package=package).replace("Dense, ", ""))
        with pytest.raises(ModelError) as error:
            load_model(path)
        assert f"from {package} import Dense" in str(error.value)

    def test_a_call_that_does_not_fit(self, package: str, tmp_path: Path) -> None:
        path = tmp_path / "small.py"
        path.write_text(FILE.format(package=package).replace("Dense(3)", "Dense(unit=3)"))
        with pytest.raises(ModelError, match="Dense has no argument unit"):
            load_model(path)


def test_a_file_without_any_import_is_told_the_first_name(tmp_path: Path) -> None:
    path = tmp_path / "small.py"
    path.write_text("layer = Dense(3)\n")
    with pytest.raises(ModelError) as error:
        load_model(path)
    assert "from chainrule import Dense" in str(error.value)


def test_no_neighbour_of_a_model_file_stands_in_for_it(tmp_path: Path) -> None:
    (tmp_path / "chainrule.py").write_text("raise SystemExit('the neighbour')\n")
    path = tmp_path / "small.py"
    path.write_text(FILE.format(package="chainrule"))
    assert load_model(path).name == "small"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float16"}, "unknown dtype"),
        ({"target": "vax"}, "unknown target"),
        ({"modes": "jvp,hpv"}, "unknown mode"),
        ({"modes": ["hpv"]}, "unknown mode"),
        ({"modes": 3}, "modes makes no sense"),
        ({"without": [3]}, "without makes no sense"),
        ({"dtype": np.int32}, "unknown dtype"),
        ({"dtype": None}, "unknown dtype"),
        ({"without": "nothing"}, "no such pass"),
    ],
)
def test_options_are_checked(options: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        chainrule.compile(small_model(), out=tmp_path, **options)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ModelError, match="file/new for the module cannot be made"):
        chainrule.compile(small_model(), out=tmp_path / "file" / "new")


def test_what_is_hooked_into_a_training_is_found_beside_it() -> None:
    """As `fit` is; no name is the compiler's too, and a name that is nearly right is answered."""
    assert chainrule.EarlyStopping is callbacks.EarlyStopping
    assert not {*callbacks.__all__} & {*compiler.__all__}
    assert {*callbacks.__all__, "Diagnose", "load_weights", "fit"} <= {*dir(chainrule)}
    with pytest.raises(AttributeError, match="did you mean 'ModelCheckpoint'"):
        chainrule.ModelCheckpoints  # noqa: B018


def test_what_is_wrong_with_a_model_is_said_all_at_once(tmp_path: Path) -> None:
    wrong = chainrule.Sequential([chainrule.Input(4), chainrule.Dense("ten")])
    with pytest.raises(ModelError) as error:
        chainrule.compile(wrong, out=tmp_path)
    assert "wrong units" in str(error.value) and "the model has no optimizer" in str(error.value)
    assert "test_chainrule.py" in str(error.value)
    for nothing in (None, 3, small_model):
        with pytest.raises(ModelError, match="this is no model"):
            chainrule.compile(nothing, out=tmp_path)
    with pytest.raises(ModelError, match="there is no file"):
        chainrule.compile(tmp_path / "missing.py", out=tmp_path)


@pytest.mark.usefixtures("hurried")
class TestModules:
    """What comes back is a module that trains."""

    def test_a_model_in_memory_and_another_of_the_same_name(self, workshop: Path, tmp_path: Path) -> None:
        module = chainrule.compile(small_model(), out=tmp_path, target="scalar")
        assert (tmp_path / "model.pyx").is_file()
        net = module.Network(seed=0)
        x, y = np.zeros((2, 4), np.float32), np.zeros(2, int)
        assert net.train_step(x, y) == pytest.approx(np.log(3))
        # Nobody can import it by its name, and the trainer knows it all the same.
        assert chainrule.fit(net, x, y, verbose=0).epoch == [0]
        # As in a notebook: the same cell again, changed.
        again = chainrule.compile(small_model(units=5), out=tmp_path, target="scalar")
        assert again.Network(seed=0).predict(x).shape == (2, 5)
        assert net.predict(x).shape == (2, 3)

    def test_the_options_are_those_of_the_command(self, workshop: Path, tmp_path: Path) -> None:
        path = tmp_path / "small.py"
        path.write_text(FILE.format(package="chainrule"))
        asked = {"target": "scalar", "dtype": np.float64, "modes": ["jvp"], "without": "winograd"}
        module = chainrule.compile(str(path), out=tmp_path / "generated", **asked)
        options = Options(
            tmp_path / "again", "scalar", "float64", without=frozenset({"winograd"}), modes=("vjp", "jvp")
        )
        compiled = compile_file(path, options)
        assert compiled.cached, "the same options make the same module"
        assert module.MODEL_HASH in compiled.source.read_text()
        net = module.Network(seed=0)
        assert net.jvp(np.zeros((2, 4)), np.zeros(2, int), {})[1] == 0
