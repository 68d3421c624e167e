"""The page's templates, compiled once for an installation, as Python's modules are."""

import sys
from contextlib import suppress
from datetime import datetime
from functools import cache

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup

from local_ai.status.figures import in_words, size_in_words
from local_ai.supervision.render import template_dir


class _BytecodeCache(jinja2.FileSystemBytecodeCache):
    """Bytecode beside the templates; without it, where that folder cannot be written to."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        if not sys.dont_write_bytecode:
            with suppress(OSError):
                super().dump_bytecode(bucket)


@cache
def load_template(name: str) -> jinja2.Template:
    """Load a template of the folder `web`."""
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    folder = template_dir() / "web"
    compiled = folder / "__pycache__"
    if not sys.dont_write_bytecode:
        with suppress(OSError):
            compiled.mkdir(exist_ok=True)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        bytecode_cache=_BytecodeCache(str(compiled)),
    )
    environment.filters |= {
        "size": size_in_words,
        "duration": in_words,
        # A text with its words in braces replaced, and everything escaped that is no markup of ours.
        "fill": lambda text, **values: Markup.escape(text).format(**values),
        "time_of_day": lambda seconds: datetime.fromtimestamp(seconds).strftime("%H:%M"),
        "thousands": lambda number: "" if number is None else f"{number:,}",
    }
    return environment
