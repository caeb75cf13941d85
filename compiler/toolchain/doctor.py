"""`chainrule doctor`: what a machine has of what compiling needs, and how to get the rest."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version

from compiler.errors import ModelError
from compiler.machine.machine import Machine
from compiler.toolchain.build import extension_suffix, find_toolchain, python_headers
from compiler.toolchain.cache_entry import check_private
from compiler.toolchain.compile_file import described_target
from compiler.toolchain.measured import known_of
from runtime.cache_folder import cache_folder


@dataclass(frozen=True)
class Finding:
    """One line of the report; `needed` says that compiling cannot do without it."""

    name: str
    ok: bool
    text: str
    needed: bool = True


def findings() -> Iterator[Finding]:
    """Everything that is looked at, in order."""
    yield Finding(
        "Python", sys.version_info >= (3, 10), f"{sys.version.split()[0]} (3.10 or newer is needed)"
    )
    for package in ("numpy", "sympy", "cython", "jinja2"):
        found = importlib.util.find_spec("Cython" if package == "cython" else package) is not None
        text = version(package) if found else f"missing: {sys.executable} -m pip install {package}"
        yield Finding(package, found, text)
    try:
        toolchain = find_toolchain()
    except ModelError as error:
        yield Finding("C compiler", False, str(error))
        return
    yield Finding("C compiler", True, f"{' '.join(toolchain.command)}: {toolchain.version}")
    try:
        yield Finding("Python headers", True, str(python_headers()))
        machine = described_target(toolchain).machine
        lanes = machine.lanes("float32")
        pairs = "products" if machine.bfloat16 else "no products"
        vectors = f"{machine.vector_bytes * 8}-bit vectors, {lanes} float32 lanes, {pairs} of bfloat16"
        yield Finding("native target", True, vectors)
        yield _bandwidths(machine)
    except ModelError as error:
        yield Finding("Python headers", False, str(error))
    yield Finding("module suffix", True, extension_suffix())
    root = cache_folder()
    there = next(p for p in (root / "modules", root, *root.parents) if p.exists())
    text, usable = str(root), os.access(there, os.W_OK)
    if not usable:
        text = f"{root} is not writable: set CHAINRULE_CACHE to a folder that is"
    elif there.name == "modules":
        try:
            check_private(there.resolve())
        except ModelError as error:
            text, usable = str(error), False
    yield Finding("cache folder", usable, text)


def _bandwidths(machine: Machine) -> Finding:
    """By which bandwidths `native` compiles: those that were measured, or the machine model's."""
    known = known_of(machine)
    figures = ", ".join(f"{bandwidth:g}" for bandwidth in known.machine(machine).bandwidths)
    text = f"{figures} bytes a cycle from levels 1 to 3 and memory, "
    if known.ignored:
        text += f"the defaults: {known.file} is ignored: {known.ignored}; chainrule doctor --measure"
    elif known.measurement:
        text += f"measured: {known.file}; chainrule doctor --forget removes it"
    else:
        text += "the defaults; chainrule doctor --measure measures this processor's"
    return Finding("bandwidths", not known.ignored, text, needed=False)


def report(as_json: bool = False) -> int:
    """Print the report; 0 when everything that compiling needs is there, else 1."""
    found = list(findings())
    complete = all(finding.ok or not finding.needed for finding in found)
    if as_json:
        print(json.dumps({"ready": complete, "findings": [asdict(finding) for finding in found]}))
        return 0 if complete else 1
    for finding in found:
        mark = "ok" if finding.ok else ("MISSING" if finding.needed else "ignored")
        print(f"{finding.name:<16}{mark:<9}{finding.text}")
    print("ready to compile" if complete else "not ready: see MISSING above")
    return 0 if complete else 1
