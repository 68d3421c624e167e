"""supervisord, imported before there is anything for it to run: `python -m local_ai.launcher -c CONF`.

A start reads and checks its settings meanwhile, for which it needs as long. Then it writes a line to stdin;
where it ends without one, nothing is started.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from supervisor.supervisord import main

if __name__ == "__main__" and sys.stdin.readline():
    os.chdir(Path(sys.argv[-1]).parent)
    main()
