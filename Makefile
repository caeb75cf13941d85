# The short way to everything. `make mnist` and `make test` start from a bare checkout: they need Python 3.10 or
# newer with its headers and its venv module, a C compiler, and the package index that pip is set to.

PYTHON ?= python3
EPOCHS ?= 12
TEST_WORKERS ?= 2
# Of the processor. Every run ends with what it took: write it here when that has changed.
TEST_MINUTES := 13
# What `native` means to the tests: this processor, or a machine model of tests/machines.py, such as amd-avx512.
MACHINE ?= native
# Random cases of each kind in the long tests.
CASES ?= 10000
# What to test: folders, files, or marks, such as -m 'native and not long' for what compiles for the processor.
TESTS ?=
# Tests start a hundred Python processes: without it each would translate the compiler's sources anew.
KEEP_BYTECODE := PYTHONDONTWRITEBYTECODE=

EMULATOR := gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user

VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
BENCH_BIN := $(BENCH_VENV)/bin

# A stamp is touched when its step is complete, so an interrupted set-up starts that step again.
CREATED := $(VENV)/.stamp-created
INSTALLED := $(VENV)/.stamp-installed
DEVELOPMENT := $(VENV)/.stamp-development
DOCS_INSTALLED := $(VENV)/.stamp-docs
BENCH_INSTALLED := $(BENCH_VENV)/.stamp-installed

.DEFAULT_GOAL := help
.PHONY: help mnist test long emulator docs gradients sanitize lint format bench epoch compile-times training-costs busy answering crash-test fuzz accuracy trained clean FORCE

help:
	@echo "make mnist     compile models/mnist.py and train it (EPOCHS=$(EPOCHS))"
	@echo "make test      run the tests; make long runs those that take minutes (CASES=$(CASES) of each kind)"
	@echo "               MACHINE=amd-avx512 as if on such a processor, TESTS=tests/ir only these"
	@echo "make emulator  install what make long runs code for ARM by (Debian, Ubuntu; as root)"
	@echo "make sanitize  run the kernels under AddressSanitizer and UndefinedBehaviorSanitizer (GCC)"
	@echo "make lint      check style, types and architecture; make format rewrites"
	@echo "make bench     time steps and predictions against other frameworks (downloads them into $(BENCH_VENV))"
	@echo "make epoch     time an epoch of models/mnist.py, data handling included, against bare steps"
	@echo "make compile-times compile models with nothing cached, beside the times they may take"
	@echo "make training-costs callbacks, diagnosis, and a folder of PNG files beside bare training"
	@echo "make busy      time steps on one thread and on two while other programs want the processors"
	@echo "make answering how long \`chainrule derive\` takes to answer, for each kind of layer"
	@echo "make crash-test kill a training 500 times, one of four processes 50 times, damage checkpoints"
	@echo "make fuzz      give a million hostile files to the readers (FUZZ_OPTIONS='--inputs 50000')"
	@echo "make accuracy  train models/mnist.py from 3 seeds on the real MNIST, 12 epochs each"
	@echo "make trained   train every model of models/ to a stated result, on data that is here"
	@echo "make gradients compare every layer's derivatives with JAX and write docs/gradients.md"
	@echo "make docs      build the site of docs/ into build/site (downloads MkDocs the first time)"
	@echo "make clean     remove everything that was built, the environments too"

mnist: $(INSTALLED)
	$(BIN)/chainrule train models/mnist.py --epochs $(EPOCHS)

# worksteal hands each worker a run of neighbouring tests, which share what a module's fixtures have built.
test: $(DEVELOPMENT)
	@echo "All tests take about $(TEST_MINUTES) minutes of processor time, on $(TEST_WORKERS) free cores half of that."
	$(KEEP_BYTECODE) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal --machine $(MACHINE) $(TESTS)

long: $(DEVELOPMENT)
	@$(BIN)/python -m tests.machine.emulated
	$(KEEP_BYTECODE) CHAINRULE_CASES=$(CASES) $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist worksteal -m long

sanitize: $(DEVELOPMENT)
	ASAN_OPTIONS=detect_leaks=0 \
	LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
	$(BIN)/python -m tests.schedule.sanitize

lint: $(DEVELOPMENT)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

# A cross compiler and an emulator, by which `make long` runs code for 64-bit ARM.
emulator:
	apt-get install --yes --no-install-recommends $(EMULATOR)

format: $(DEVELOPMENT)
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(INSTALLED) $(BENCH_INSTALLED)
	models=$$($(BIN)/python -m benchmarks.run --list-models $(BENCH_OPTIONS)) && \
	for model in $$models; do $(BIN)/chainrule compile --quiet $$model || exit 1; done
	$(BENCH_BIN)/python -m benchmarks.run --write $(BENCH_OPTIONS)

epoch: $(INSTALLED)
	$(BIN)/chainrule compile --quiet models/mnist.py
	$(BIN)/python -m benchmarks.epoch $(EPOCH_OPTIONS)

compile-times: $(DEVELOPMENT)
	$(BIN)/python -m benchmarks.compile_times $(COMPILE_OPTIONS)

training-costs: $(DEVELOPMENT)
	$(BIN)/chainrule compile --quiet models/mnist.py
	$(BIN)/chainrule compile --quiet models/mnist.py --modes diagnose --out generated/diagnose
	$(BIN)/python -m benchmarks.training_costs generated/mnist generated/diagnose/mnist $(COSTS_OPTIONS)

busy: $(INSTALLED)
	for model in models/mnist.py benchmarks/models/mlp_512.py benchmarks/models/tiny.py; \
	do $(BIN)/chainrule compile --quiet $$model || exit 1; done
	$(BIN)/python -m benchmarks.busy $(BUSY_OPTIONS)

answering: $(DEVELOPMENT)
	$(BIN)/python -m tests.tools.answering

gradients: $(DEVELOPMENT)
	$(BIN)/python -m tests.derive.table

docs: $(DOCS_INSTALLED)
	$(BIN)/python -m mkdocs build --quiet
	$(BIN)/chainrule explain models/mnist.py -o build/site/mnist.html

crash-test: $(DEVELOPMENT)
	$(BIN)/chainrule compile --quiet benchmarks/models/tiny.py
	$(BIN)/python -m tests.runtime.crash generated/tiny --model benchmarks/models/tiny.py $(CRASH_OPTIONS)
	PYTHONPATH=. $(BIN)/python tests/runtime/crash_ranks.py generated/tiny $(CRASH_RANKS_OPTIONS)

# Inputs are guided where atheris can be had, which has wheels for some Pythons; they need not be.
fuzz: $(DEVELOPMENT)
	@$(BIN)/python -c "import atheris" 2>/dev/null || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[fuzz]' || \
	echo "atheris cannot be had for this Python: inputs are changed blindly"
	$(BIN)/python -m tests.runtime.fuzz $(FUZZ_OPTIONS)

accuracy: $(INSTALLED)
	$(BIN)/chainrule compile models/mnist.py
	$(BIN)/python -m benchmarks.mnist_accuracy $(ACCURACY_OPTIONS)

trained: $(INSTALLED)
	models=$$($(BIN)/python -m benchmarks.trained --list-models $(TRAINED_OPTIONS)) && \
	echo "$$models" | while read -r model; do $(BIN)/chainrule compile --quiet $$model </dev/null || exit 1; done
	$(BIN)/python -m benchmarks.trained $(TRAINED_OPTIONS)

clean:
	rm -rf $(VENV) $(BENCH_VENV) .venv-3.* build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find generated -mindepth 1 ! -name README.md -delete
	find $(wildcard compiler runtime models tests benchmarks) -name __pycache__ -prune -exec rm -rf {} +

$(INSTALLED): $(CREATED) pyproject.toml setup.py
	@echo "Installing chainrule into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(DEVELOPMENT): $(CREATED) pyproject.toml setup.py
	@echo "Installing chainrule and its test tools into $(VENV) (once, a minute or two) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $(INSTALLED) $@

$(DOCS_INSTALLED): $(INSTALLED) pyproject.toml
	@echo "Installing what builds the site into $(VENV) (once) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

# An environment whose Python has gone, after an upgrade of the system, is made anew.
$(CREATED): $(if $(wildcard $(BIN)/python),,FORCE)
	@$(PYTHON) -c "$$PREFLIGHT"
	@echo "Creating $(VENV) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(BENCH_INSTALLED): benchmarks/requirements.txt
	@echo "Installing the other frameworks into $(BENCH_VENV) (once, some minutes) ..."
	@$(BENCH_BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(BENCH_VENV)
	@$(BENCH_BIN)/python -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

# Everything that the set-up needs of the machine, asked for before the first download. It has to run on any Python 3.
define PREFLIGHT
import os, shutil, sys, sysconfig
problems = []
if sys.version_info < (3, 10):
    problems.append("Python 3.10 or newer is needed, and this is %s (%s).\n"
                    "Name another one: make PYTHON=python3.12" % (sys.version.split()[0], sys.executable))
else:
    try:
        import ensurepip, venv
    except ImportError:
        problems.append("Python's venv module is not complete. On Debian and Ubuntu: apt install python3-venv")
    header = os.path.join(sysconfig.get_paths()["include"], "Python.h")
    if not os.path.isfile(header):
        problems.append("The Python headers are missing (%s).\n"
                        "On Debian and Ubuntu: apt install python3-dev; on Fedora: dnf install python3-devel" % header)
    if not any(map(shutil.which, [os.environ.get("CC", "cc").split()[0], "cc", "gcc", "clang"])):
        problems.append("There is no C compiler (cc, gcc or clang).\n"
                        "On Debian and Ubuntu: apt install gcc libc6-dev; on macOS: xcode-select --install")
if problems:
    sys.exit("chainrule cannot be set up yet.\n\n" + "\n\n".join(problems))
endef
export PREFLIGHT
