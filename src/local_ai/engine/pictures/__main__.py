"""python -m local_ai.engine.pictures: decodes pictures, until its stdin ends.

protocol.py says what goes through it.
"""

import pickle

from local_ai.engine.isolation.serve import serve
from local_ai.engine.pictures.protocol import NOT_INSTALLED, write_picture, write_refusal

_MOST_CPU_S = 30  # of one picture


def main() -> None:
    """Answer one picture after the other."""
    serve(_answer, most_cpu_s=_MOST_CPU_S)


def _answer(request: bytes) -> bytes:
    """Decode one picture."""
    try:
        from local_ai.engine.pictures.decode import Unusable, decode
    except ImportError:
        return NOT_INSTALLED
    try:
        return write_picture(*decode(pickle.loads(request)))
    except Unusable as exc:
        return write_refusal(exc.why, exc.fix, exc.code)


if __name__ == "__main__":
    main()
