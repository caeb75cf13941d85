"""The page of `chainrule explain` in a real browser: drawn, played, on a small screen, checked by axe."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import pytest

from compiler.tools.explain.as_html import as_html
from compiler.tools.explain.example import journey
from compiler.tools.explain.material import material
from compiler.tools.explain.outline import outline
from tests.tools.browsers import Browser, found, names
from tests.tools.test_explain_example import as_if_measured, constructed

SCRIPT = Path(__file__).with_name("browser.js")
DENSE = """
from chainrule import CrossEntropy, Dense, Input, Model, ReLU, SGD, Softmax

x = Input(6)
h = ReLU()(Dense(6)(x))
y = Softmax()(Dense(3)(h + x))
model = Model(x, y, loss=CrossEntropy(), optimizer=SGD(0.1), name="residual")
"""
EARLY = """<script>
window.pageErrors = [];
window.addEventListener("error", function (event) { window.pageErrors.push(event.message); });
console.error = console.warn = function (words) { window.pageErrors.push(String(words)); };
</script>"""
MOST_SECONDS = 240
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request: pytest.FixtureRequest) -> Browser:
    """Each in turn; skipped where it is not installed, which is said."""
    browser = found(request.param)
    if browser is None:
        pytest.skip(f"there is no {request.param} here: none of {', '.join(names(request.param))}")
    return browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("browser") / "residual.py"
    path.write_text(DENSE, encoding="utf-8")
    return whole_page(path)


def whole_page(path: Path) -> str:
    """A page with every part; nothing is built for it."""
    model = material(path, "x86-64-v3", "float32", "kernels")
    way = journey(model)
    assert way is not None
    return as_html(outline(model, None, as_if_measured(model, way), constructed()))


def seen(browser: Browser, page: str, folder: Path, dark: bool = False) -> dict[str, Any]:
    """What the script finds out."""
    axe = _axe()
    source = json.dumps(page).replace("<", "\\u003c")
    scripts = [f"window.pageSource = {source};", *([axe] if axe else []), SCRIPT.read_text(encoding="utf-8")]
    late = "".join(f"<script>{text}</script>" for text in scripts)
    tested = page.replace("<head>", f"<head>{EARLY}", 1).replace("</body>", f"{late}</body>")
    answers: Queue[bytes] = Queue()
    with served(tested.encode(), answers) as address, browser.showing(address, folder, dark):
        return json.loads(answers.get(timeout=MOST_SECONDS))


@contextmanager
def served(page: bytes, answers: Queue[bytes]) -> Iterator[str]:
    """A server of this page alone, on this machine alone; what is posted to it are answers."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/" else 204)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page if self.path == "/" else b"")

        def do_POST(self) -> None:
            answers.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing is said."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _axe() -> str | None:
    spec = find_spec("axe_core_python")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


def examine(found: dict[str, Any]) -> None:
    assert found["errors"] == []
    assert found["boxes"] > 5 and found["arrows"] > 5 and found["formulas"] > 20
    assert found["deadLinks"] == 0 and found["followed"]
    assert found["visible"] == 1
    first, second, last, fourth, after = found["titles"]
    assert first == "input" and second == "label" and last == "no cotangent of input"
    assert fourth not in (first, second) and after != fourth
    assert found["status"].startswith("Step 4 of ") and found["kept"] > 0 and found["pictures"]
    assert {"button", "span", "mrow"} <= set(found["marked"])
    assert found["focusable"] and found["charts"] == 1 and found["chosen"]
    assert found["every"] == ["Open every long form", "Close every long form"]
    assert found["width"][0] <= found["width"][1]
    assert found["narrow"][0] <= 400 and found["smallest"] >= 12
    if "violations" in found:
        assert found["violations"] == []
        assert "color-contrast" in found["rules"]


def test_the_page_in_a_browser(browser: Browser, page: str, tmp_path: Path) -> None:
    found = seen(browser, page, tmp_path)
    assert not found["dark"]
    examine(found)


@pytest.mark.long
def test_the_page_in_the_dark(browser: Browser, page: str, tmp_path: Path) -> None:
    found = seen(browser, page, tmp_path, dark=True)
    assert found["dark"]
    examine(found)


@pytest.mark.long
def test_the_page_of_the_mnist_network(browser: Browser, tmp_path: Path) -> None:
    page = whole_page(ROOT / "models" / "mnist.py")
    assert len(page.encode()) < 3_000_000
    examine(seen(browser, page, tmp_path))
