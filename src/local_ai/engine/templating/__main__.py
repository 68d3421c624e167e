"""python -m local_ai.engine.templating: writes prompts by chat templates, until its stdin ends.

protocol.py says what goes through it.
"""

import pickle

from local_ai.engine.isolation.serve import serve
from local_ai.engine.templating.environment import compile_template
from local_ai.engine.templating.protocol import PROMPT, REFUSED, as_bytes

_MOST_CPU_S = 120  # of one prompt


def main() -> None:
    """Answer one prompt after the other."""
    serve(_write, most_cpu_s=_MOST_CPU_S)


def _write(request: bytes) -> bytes:
    """Write one prompt."""
    template, values = pickle.loads(request)
    try:
        return PROMPT + as_bytes(compile_template(template).render(**values))
    except MemoryError:
        raise
    except Exception as exc:  # templates are programs: they raise what they like
        reason = str(exc).strip()[:1000] or type(exc).__name__
        return REFUSED + as_bytes(reason)


if __name__ == "__main__":
    main()
