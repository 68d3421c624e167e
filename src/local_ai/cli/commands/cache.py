"""`cache.show` and `cache.clear`: remembered prompts on disk."""

import time
from dataclasses import asdict

from local_ai.cli import console
from local_ai.cli.run import load_settings
from local_ai.errors import ConfigError
from local_ai.models.prompt_files import (
    GB,
    ModelPrompts,
    clear_prompts,
    limit_bytes,
    list_prompts,
    prompts_dir,
    read_written,
)
from local_ai.settings.paths import find_paths
from local_ai.settings.state import running_paths
from local_ai.status.figures import in_words, size_in_words

_HEADER = ("MODEL", "SIZE", "FILES", "LAST USED")


def show(*, as_json: bool) -> None:
    """Show what is remembered on disk, of which models, and how much was written."""
    settings = load_settings(None, {}).settings.cache
    folder = prompts_dir(running_paths(find_paths()))
    found, written, now = list_prompts(folder), read_written(folder), time.time()
    held = sum(one.size_bytes for one in found)
    most = limit_bytes(settings.disk, folder, held)
    if as_json:
        console.print_json(
            {
                "folder": folder,
                "limit_bytes": most,
                "size_bytes": held,
                "written_bytes": written.total_bytes,
                "written_since": written.since or None,
                "written_this_hour_bytes": written.in_hour(now),
                "written_per_hour_limit_bytes": int(settings.writes_gb_per_hour * GB),
                "models": [asdict(one) for one in found],
            }
        )
        return
    bound = f"{size_in_words(held)} of at most {size_in_words(most)}" if most else "off (cache.disk)"
    console.print_line(f"Remembered prompts on disk: {bound}, in {folder}")
    if written.since:
        hour, limit, total = map(
            size_in_words,
            (written.in_hour(now), int(settings.writes_gb_per_hour * GB), written.total_bytes),
        )
        since = time.strftime("%Y-%m-%d", time.localtime(written.since))
        console.print_line(f"Written: {hour} of at most {limit} in this hour, {total} since {since}")
    if found:
        console.print_table(_HEADER, [_cells(one, now) for one in found])
        console.print_note("What was asked and answered can be recovered from these files.")


def clear(*, model: str | None) -> None:
    """Remove remembered prompts from the disk: of one model, or of all."""
    found = list_prompts(prompts_dir(running_paths(find_paths())))
    if model is not None:
        known = sorted({one.model for one in found})
        found = tuple(one for one in found if model in (one.model, str(one.model_folder)))
        if not found:
            raise ConfigError(
                "nothing was removed",
                why=f"no prompts of {model!r} are remembered on disk",
                fix=f"those of these models are: {', '.join(known)}"
                if known
                else "there are none of any model",
            )
    freed = clear_prompts(found)
    what = f"of {model} " if model else ""
    console.print_line(
        f"Removed the remembered prompts {what}from the disk: {size_in_words(freed)} given back."
    )


def _cells(one: ModelPrompts, now: float) -> tuple[str, ...]:
    used = "–" if one.last_used is None else f"{in_words(max(0.0, now - one.last_used))} ago"
    return one.model, size_in_words(one.size_bytes), str(one.files), used
