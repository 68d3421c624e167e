"""An import that takes seconds, on a thread of its own: answers grow meanwhile."""

import logging
import threading
from collections.abc import Callable

# Given to it with each look: beside steps that are Python from end to end, an import would hardly get on.
_SHARE_S = 0.03

log = logging.getLogger(__name__)


class BackgroundImport:
    """Imports once; for one thread that asks again and again."""

    def __init__(self, run: Callable[[], object]) -> None:
        """Begin nothing yet.

        Args:
            run: Imports. What it raises is logged; who needs the module then has it raised again.
        """
        self._import = run
        self._thread: threading.Thread | None = None

    @property
    def is_over(self) -> bool:
        """True once it has ended; the first look begins it, and each waits a moment for it."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="import", daemon=True)
            self._thread.start()
        self._thread.join(_SHARE_S)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._import()
        except Exception:
            log.exception("a module cannot be imported")
