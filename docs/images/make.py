"""The pictures of the README and the docs: `python docs/images/make.py` (needs Chromium)."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import convlens

HERE = Path(__file__).parent
# name -> (built-in network, width, height, what follows the page's address)
PICTURES = {
    "layer.png": ("digits", 1280, 720, ""),
}


def browser() -> str:
    """Chromium's command."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    sys.exit("Chromium is missing (on Debian: apt-get install chromium)")


def main() -> None:
    """Export each page and photograph it."""
    program = browser()
    for name, (model, width, height, place) in PICTURES.items():
        with tempfile.TemporaryDirectory() as folder:
            page = convlens.load(model).export(Path(folder) / "page.html")
            subprocess.run(
                [
                    program, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                    f"--window-size={width},{height}", "--virtual-time-budget=6000",
                    f"--screenshot={HERE / name}", f"{page.as_uri()}{place}",
                ],
                check=True,
                capture_output=True,
            )  # fmt: skip
        print(HERE / name)


if __name__ == "__main__":
    main()
