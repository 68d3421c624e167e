"""The name of a model's exact weights and of what computes with them, for state that is kept in files."""

import hashlib
from importlib.metadata import version

import mlx.core as mx

from local_ai.engine.core.job import ModelKey
from local_ai.models.vision import is_installed
from local_ai.models.weight_files import raw_header

_FORMAT = 1  # of the files; another one makes the older ones unknown
_LIBRARIES = ("mlx", "mlx-lm")
_CONFIGS = ("config.json", "adapter_config.json")
_OF_EYES = ("preprocessor_config.json", "processor_config.json")  # pictures change with them
_DIGITS = 24


def identity_of(key: ModelKey, caches: str) -> str:
    """Name a model by its files' content, as far as it can be told quickly.

    Of weights that are the size, the time of the last change, and the header with all names and places.

    Args:
        caches: What its layers remember in.

    Raises:
        OSError: A file cannot be read.
    """
    digest = hashlib.sha256(f"{_FORMAT} {caches} {mx.default_device()}".encode())
    for library in _LIBRARIES:
        digest.update(f" {library} {version(library)}".encode())
    if is_installed() and any((key.path / name).is_file() for name in _OF_EYES):
        digest.update(f" mlx-vlm {version('mlx-vlm')}".encode())
    for folder in (key.path, *((key.adapter,) if key.adapter else ())):
        digest.update(b" folder")
        for file in sorted(folder.iterdir()):
            if file.suffix == ".safetensors":
                stat = file.stat()
                digest.update(f" {file.name} {stat.st_size} {stat.st_mtime_ns} ".encode())
                digest.update(raw_header(file))
            elif file.name in (*_CONFIGS, *_OF_EYES) or file.suffix == ".py":
                digest.update(f" {file.name} ".encode() + file.read_bytes())
    return digest.hexdigest()[:_DIGITS]
