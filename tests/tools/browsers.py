"""Real browsers without a window, for tests of pages: how each is found and started, light or dark."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

WIDTH, HEIGHT = 1280, 900
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FIREFOX = ("firefox-esr", "firefox")
PREFERENCES = {
    "browser.aboutwelcome.enabled": "false",
    "browser.shell.checkDefaultBrowser": "false",
    "datareporting.policy.dataSubmissionEnabled": "false",
    "toolkit.telemetry.reportingpolicy.firstRun": "false",
    "app.update.enabled": "false",
    "network.captive-portal-service.enabled": "false",
    "network.connectivity-service.enabled": "false",
}
"""What keeps Firefox from pages and servers of its own."""
SCHEME = "layout.css.prefers-color-scheme.content-override"


@dataclass(frozen=True)
class Browser:
    """A browser by its kind, and its program."""

    kind: str
    program: str

    @contextmanager
    def showing(self, address: str, folder: Path, dark: bool = False) -> Iterator[None]:
        """The page is open, in a fresh profile below the folder, until the block ends."""
        profile = folder / "profile"
        profile.mkdir()
        started = self._chromium if self.kind == "chromium" else self._firefox
        command, settings = started(profile, dark)
        running = subprocess.Popen(
            [*command, address],
            env={**os.environ, **settings},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            yield
        finally:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()

    def _chromium(self, profile: Path, dark: bool) -> tuple[list[str], Mapping[str, str]]:
        command = [self.program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-extensions"]
        command += [f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}"]
        command += ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"] if dark else []
        return command, {}

    def _firefox(self, profile: Path, dark: bool) -> tuple[list[str], Mapping[str, str]]:
        preferences = {**PREFERENCES, SCHEME: "0" if dark else "1"}
        lines = (f'user_pref("{name}", {value});\n' for name, value in preferences.items())
        (profile / "user.js").write_text("".join(lines), encoding="utf-8")
        command = [self.program, "--headless", "--no-remote", "--new-instance", "--profile", str(profile)]
        return command, {"MOZ_HEADLESS_WIDTH": str(WIDTH), "MOZ_HEADLESS_HEIGHT": str(HEIGHT)}


def found(kind: str) -> Browser | None:
    """The browser of a kind that is installed here; None if there is none."""
    program = next(filter(None, map(shutil.which, names(kind))), None)
    return None if program is None else Browser(kind, program)


def names(kind: str) -> tuple[str, ...]:
    """What the programs of a kind are called."""
    return {"chromium": CHROMIUM, "firefox": FIREFOX}[kind]
