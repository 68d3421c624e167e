"""Pull one model for the gateway: `python -m local_ai.pull WANTED`. Its progress is told by lines of JSON.

WANTED is a JSON object: name, revision, even_if_too_large, budget, fit_check, hub_cache, entry. Each line is
an object with what is new of a `Download` of gateway/downloads. It ends with its stdin, by SIGTERM, or by
itself; what has come stays on the disk, and the next pull goes on there.
"""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from local_ai.entry import as_called, set_entry
from local_ai.errors import LocalAIError
from local_ai.pull.download import download
from local_ai.pull.meter import Meter
from local_ai.pull.plan import plan_pull
from local_ai.serving.orphan_guard import start_orphan_guard
from local_ai.serving.signals import ignore_signals
from local_ai.settings.schema import ModelsSettings

_TELL_EVERY_S = 0.2
_WRITING = threading.Lock()


def main(wanted: dict[str, Any]) -> int:
    """Pull it; returns the exit code."""
    set_entry(wanted["entry"])
    try:
        _pull(wanted)
    except LocalAIError as exc:
        fields = {"what": exc.what, "why": exc.why, "fix": exc.whole_fix}
        _tell(state="failed", error={name: as_called(text) for name, text in fields.items()})
        return exc.exit_code
    return 0


def _pull(wanted: dict[str, Any]) -> None:
    hub_cache = Path(wanted["hub_cache"])
    plan = plan_pull(
        wanted["name"],
        wanted["revision"],
        hub_cache,
        settings=ModelsSettings(budget=wanted["budget"], fit_check=wanted["fit_check"]),
        even_if_too_large=wanted["even_if_too_large"],
        warn=lambda text: _tell(warning=text),
    )
    meter = Meter(plan.remote.size_bytes, plan.remote.size_bytes - plan.missing_bytes)
    _tell(
        state="downloading",
        commit=plan.remote.commit,
        files=len(plan.remote.files),
        total_bytes=meter.total,
        done_bytes=meter.done,
    )
    whole = count(1)
    with _telling(meter):
        folder = download(plan.remote, hub_cache, meter.add, lambda _file: _tell(files_done=next(whole)))
    _tell(state="done", done_bytes=meter.total, path=str(folder))


@contextmanager
def _telling(meter: Meter) -> Iterator[None]:
    """Tell how far it is a few times a second, also while nothing comes."""
    is_over = threading.Event()

    def tell() -> None:
        told: tuple[int, float | None] | None = None
        while not is_over.wait(_TELL_EVERY_S):
            now = meter.done, meter.bytes_per_s
            if now != told:
                _tell(done_bytes=now[0], bytes_per_s=now[1])
            told = now

    teller = threading.Thread(target=tell, name="teller", daemon=True)
    teller.start()
    try:
        yield
    finally:
        is_over.set()
        teller.join()


def _tell(**news: Any) -> None:
    with _WRITING:
        sys.stdout.write(json.dumps(news) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    start_orphan_guard()
    ignore_signals()
    sys.exit(main(json.loads(sys.argv[1])))
