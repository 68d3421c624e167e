"""Figures in words: the same on terminal and page. `templates/web/figures.js` has the same rules."""

from collections.abc import Sequence

from local_ai.status.health import ModelInMemory, RankHealth

_SILENT_S = 3.0  # three times as long as a rank lets pass between two signs of life


def in_words(seconds: float | None) -> str:
    """Write a duration by its whole units: "42 s", "3 min", "2 h 5 min", "4 d 3 h"; "–" for none."""
    if seconds is None:
        return "–"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{int(seconds)} s"


def model_in_words(model: ModelInMemory, now: float) -> str:
    """Write what is in memory of a model: "org/name (4.2 GB, for 5 min, 2 running, pinned)"."""
    parts = [size_in_words(model.size_bytes), f"for {in_words(max(0.0, now - model.since))}"]
    parts += [f"{model.running} running"] if model.running else []
    parts += [f"{model.waiting} waiting"] if model.waiting else []
    parts += ["pinned"] if model.pinned else []
    return f"{model.id} ({', '.join(parts)})"


def ranks_in_words(ranks: Sequence[RankHealth]) -> str:
    """Write how ranks are: "rank 0 ready, 4.2 GB; rank 1 (mini.local) silent for 6 s"; "" for none."""

    def words(each: RankHealth) -> str:
        name = f"rank {each.rank}" + (f" ({each.host})" if each.host else "")
        if each.heard_s > _SILENT_S:
            return f"{name} silent for {in_words(each.heard_s)}"
        size = f", {size_in_words(each.memory_bytes)}" if each.memory_bytes is not None else ""
        return f"{name} {each.state}{size}"

    return "; ".join(map(words, ranks))


def size_in_words(size: int | None) -> str:
    """Write a size in powers of 1000: "812 MB", "1.2 GB"; "–" for none."""
    if size is None:
        return "–"
    # Halves go up, as JavaScript's Math.round has it.
    return f"{int(size / 1e8 + 0.5) / 10:.1f} GB" if size >= 1e9 else f"{int(size / 1e6 + 0.5)} MB"


def why_slow(quantisation: str, device: str | None) -> str:
    """Say why a model is slow on what computes; "" where there is no reason.

    Measured on an H100 with mlx 0.32: an 8B model with 64 answers, 132 tokens/s in 4 bits, 3,690 in bf16.

    Args:
        quantisation: Of its weights, such as "4-bit"; "" for none.
        device: cpu, metal or cuda; None: not known.
    """
    if device != "cuda" or not quantisation:
        return ""
    return f"{quantisation} weights are slow on an NVIDIA card: bf16 ones suit it better, where they fit"


def why_too_large(weight_bytes: int, most_bytes: int | None) -> str:
    """Say that weights are larger than what models can have; "" where they are not.

    Args:
        most_bytes: That a model can have, as `loadable_bytes` returns; None: any fits.
    """
    if most_bytes is None or weight_bytes <= most_bytes:
        return ""
    weights, most = (size_in_words(max(n, 1_000_000)) for n in (weight_bytes, most_bytes))
    return f"its weights need {weights} of memory, and models can have {most} here"
