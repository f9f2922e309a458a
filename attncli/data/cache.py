"""attncli's own cache folder: Arrow files of the sources, token ids of large ones. It may be deleted at any time."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """$ATTNCLI_CACHE, else $XDG_CACHE_HOME/attncli, else ~/.cache/attncli. The folder need not exist yet."""
    if own := os.environ.get("ATTNCLI_CACHE"):
        return Path(own).expanduser().absolute()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser().absolute() / "attncli"
