"""The article's worked example prints what its page shows."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_page_shows_what_the_script_prints():
    page = (ROOT / "examples" / "worked_example.md").read_text(encoding="utf-8")
    command = "$ python examples/worked_example.py\n"
    shown = page[page.index(command) + len(command) : page.index("```\n\n## Which is right")]
    script = ROOT / "examples" / "worked_example.py"
    printed = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed == shown
    assert "0     0.0153  0.0086  0.4877  0.0009  0.4877   2.4810  2.4563  3.4527\n" in printed
