"""How large a page is, and how long browsers take to open it: `python -m tests.tools.opening mnist.html`.

A browser's own times, from the start of the navigation: until the page is loaded, and until it is painted. On
a busy machine they say little; the smallest of several openings is the one that was disturbed least.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from queue import Queue

from tests.tools.browsers import found
from tests.tools.test_explain_browser import MOST_SECONDS, served

TIMES = 3
SCRIPT = """<script>
window.addEventListener("load", function () {
  const loaded = performance.now();
  requestAnimationFrame(() => setTimeout(() => fetch("/found", {
    method: "POST", body: JSON.stringify([loaded, performance.now()]) })));
});
</script>"""


def opened(kind: str, page: str) -> tuple[float, float] | None:
    """Seconds until the page is loaded, and painted; None where there is no such browser."""
    browser = found(kind)
    if browser is None:
        return None
    answers: Queue[bytes] = Queue()
    tested = page.replace("<head>", f"<head>{SCRIPT}", 1).encode()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        served(tested, answers) as address,
        browser.showing(address, Path(folder)),
    ):
        loaded, painted = json.loads(answers.get(timeout=MOST_SECONDS))
    return loaded / 1000, painted / 1000


def main(path: Path) -> None:
    """Print what was found."""
    page = path.read_text(encoding="utf-8")
    print(f"{path.name}: {len(page.encode()):,} bytes")
    for kind in ("chromium", "firefox"):
        times = [opened(kind, page) for _ in range(TIMES)]
        if times[0] is None:
            print(f"{kind}: is not here")
            continue
        loaded, painted = min(t for t in times if t is not None)
        print(f"{kind}: loaded after {loaded:.2f} s, painted after {painted:.2f} s, the best of {TIMES}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
