"""The user's shell, and the file of it that completion is written to."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def user_shell() -> str:
    """Return the path of the user's shell, "" where none is known."""
    return os.environ.get("SHELL", "")


def completion_file(
    shell: str, environ: Mapping[str, str] = os.environ, *, platform: str | None = None
) -> Path:
    """Return the file that an interactive shell reads; it needs not exist.

    Args:
        shell: bash, zsh or fish.

    Source:
        "Bash Startup Files" of bash's manual; "Startup/Shutdown Files" of zsh's; "Where to put completions"
        of fish's. A terminal on macOS starts a login shell, which reads `.bash_profile`; where there is none,
        making one would hide a `.profile`.
    """
    home = Path(environ.get("HOME") or Path.home())
    if shell == "fish":
        config = environ.get("XDG_CONFIG_HOME", "")
        folder = Path(config) if config.startswith("/") else home / ".config"
        return folder / "fish/completions/local-ai.fish"
    if shell == "zsh":
        return Path(environ.get("ZDOTDIR") or home) / ".zshrc"
    profile = home / ".bash_profile"
    hides = not profile.exists() and any((home / name).exists() for name in (".bash_login", ".profile"))
    return profile if (platform or sys.platform) == "darwin" and not hides else home / ".bashrc"
