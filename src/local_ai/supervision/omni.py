"""The parts of MLX Omni Server that have an environment of their own: speech, transcription, images.

Their packages are many and pinned, and their libraries may crash; neither is to touch the engine's text. So
they are installed into a virtual environment under the data folder, by a command when first wanted, and run
there as the supervised program `omni`.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from local_ai.regular_file import read_regular
from local_ai.settings.paths import Paths

# Installed without the packages that it asks for: they are far more than its routers import.
_SERVER = "mlx-omni-server>=0.5.3,<0.6"
# What every part imports. pydantic-settings is of our own settings.
_COMMON = (
    *(
        "fastapi>=0.117",
        "uvicorn>=0.34",
        "httptools>=0.6",
        "python-multipart>=0.0.27",
        "pydantic-settings>=2.10",
    ),
    *("httpx>=0.28", "psutil>=7", "rich>=14", "tqdm>=4.67", "huggingface-hub>=1.0", "numpy>=2"),
)
_MLX = {
    "linux": ("mlx[cpu]>=0.32.4,<0.33", "scipy-openblas32>=0.3.34"),
    "darwin": ("mlx>=0.32.4,<0.33",),
}


@dataclass(frozen=True)
class Part:
    """One ability, the router that has it, and the packages it needs."""

    name: str
    path: str  # its endpoint
    module: str  # of MLX Omni Server
    packages: tuple[str, ...]  # with all that they ask for
    bare: tuple[str, ...] = ()  # without what they ask for
    platforms: tuple[str, ...] = ("darwin", "linux")
    why_not_here: str = ""  # on other platforms
    default_model: str | None = None  # the router's, where a request names none


# Found by importing each router in an empty environment and adding what was missing (2026-11).
SPEECH = Part(
    name="speech",
    path="/v1/audio/speech",
    module="mlx_omni_server.tts.tts",
    # Cannot be imported without Metal, so nothing of what these ask for is left out untried.
    packages=("f5-tts-mlx>=0.2.5,<0.3", "mlx-audio[tts]>=0.4.3,<0.5", "transformers>=5.5,<5.13"),
    platforms=("darwin",),
    why_not_here="speech needs Metal, which only a Mac has (its library vocos-mlx says so when imported)",
)
TRANSCRIPTION = Part(
    name="transcription",
    path="/v1/audio/transcriptions",
    module="mlx_omni_server.stt.stt",
    # imageio-ffmpeg carries ffmpeg, which reads every format of sound.
    packages=("numba>=0.60", "scipy>=1.14", "tiktoken>=0.9", "imageio-ffmpeg>=0.6"),
    bare=("mlx-whisper>=0.4.3,<0.5",),  # asks for torch, to convert models alone
)
IMAGES = Part(
    name="images",
    path="/v1/images/generations",
    module="mlx_omni_server.images.images",
    packages=(
        *("pillow>=13", "piexif>=1.1.3", "platformdirs>=4", "toml>=0.10.2"),
        *("transformers>=5.14", "safetensors>=0.4.4", "sentencepiece>=0.2.1"),
    ),
    # The first that imports torch only where it is used; asks for opencv, matplotlib, twine and CUDA, too.
    bare=("mflux>=0.24,<0.25",),
    default_model="dhairyashil/FLUX.1-schnell-mflux-4bit",
)
PARTS = (SPEECH, TRANSCRIPTION, IMAGES)
PART_NAMES = tuple(part.name for part in PARTS)


@dataclass(frozen=True)
class Requirements:
    """The content of an environment with some parts."""

    packages: tuple[str, ...]  # with all that they ask for
    bare: tuple[str, ...]  # without what they ask for


def requirements(names: Iterable[str], *, platform: str = sys.platform) -> Requirements:
    """Return what these parts need together, on this platform. Pure."""
    parts = [part for part in PARTS if part.name in set(names)]
    return Requirements(
        packages=(
            *_COMMON,
            *_MLX.get(platform, _MLX["linux"]),
            *(each for p in parts for each in p.packages),
        ),
        bare=(_SERVER, *(each for part in parts for each in part.bare)),
    )


def runs_here(part: Part) -> bool:
    """Tell whether a part can work on this platform at all."""
    return sys.platform in part.platforms


def omni_python(paths: Paths) -> Path:
    """Return the environment's interpreter, which is there once a part is installed."""
    return paths.omni_dir / "env/bin/python"


def installed_parts(paths: Paths) -> tuple[str, ...]:
    """Return the names of the parts that are installed whole, in the order of `PARTS`."""
    try:
        listed = list(json.loads(read_regular(_record(paths)))["parts"])
        there = omni_python(paths).exists()
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(name for name in PART_NAMES if there and name in listed)


def record_parts(paths: Paths, names: Iterable[str]) -> None:
    """Note which parts are installed whole."""
    listed = [name for name in PART_NAMES if name in set(names)]
    _record(paths).write_text(json.dumps({"parts": listed}) + "\n", "utf-8")


def link_package(paths: Paths) -> None:
    """Let the environment import local_ai as it is installed now, and nothing else of this environment."""
    package = Path(__file__).resolve().parents[1]
    for site in paths.omni_dir.glob("env/lib/python*/site-packages"):
        link = site / "local_ai"
        if not link.is_symlink() or link.readlink() != package:
            link.unlink(missing_ok=True)
            link.symlink_to(package)


def _record(paths: Paths) -> Path:
    return paths.omni_dir / "parts.json"
