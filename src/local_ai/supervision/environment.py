"""The environment that the programs are given: what they need, and none of the user's secrets.

supervisord hands its own environment on to its programs and can only add to it, so it is pruned before.
`LOCAL_AI_*` and `XDG_*` are not among it: programs read their settings and paths from state.json. Proxies and
certificates are: a model may be pulled from the page.
"""

import re
from collections.abc import Mapping

_NEEDED = re.compile(
    # Who and where: paths, language and time of texts, temporary files.
    r"PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR|TEMP|TMP|__CF_USER_TEXT_ENCODING"
    # Where libraries are found, and how Python runs, but not what makes an error of a warning.
    r"|LD_LIBRARY_PATH|DYLD_\w+|COVERAGE_PROCESS_START"
    r"|PYTHON(PATH|HOME|HASHSEED|MALLOC|FAULTHANDLER|NOUSERSITE|DONTWRITEBYTECODE|PYCACHEPREFIX)"
    # What tunes the numerical libraries and the model loaders, which download nothing and need no patience.
    r"|(MLX|METAL|MTL|OPENBLAS|OMP|MKL|BLIS|VECLIB|GOTO|CUDA|NCCL|NVIDIA|TRANSFORMERS|TOKENIZERS)_\w+"
    r"|HF_(?!\w*TIMEOUT)\w+"
    # The way to the hub.
    r"|(?i:HTTPS?|ALL|NO)_(?i:PROXY)|SSL_CERT_(FILE|DIR)"
)
_AGENT = "SSH_AUTH_SOCK"
_SECRET = re.compile(r"TOKEN(?!IZERS)|SECRET|PASSW|CREDENTIAL|(^|_)KEY")


def for_programs(environ: Mapping[str, str], *, uses_ssh: bool = False) -> dict[str, str]:
    """Return what of an environment is passed on. Pure.

    Args:
        uses_ssh: Whether a program does, which finds the user's keys by the agent's socket.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if (_NEEDED.fullmatch(name) and not _SECRET.search(name)) or (uses_ssh and name == _AGENT)
    }
    # pydantic would look through every installed package for plugins: 20 ms of each program's start.
    return kept | {"PYTHONUTF8": "1", "PYDANTIC_DISABLE_PLUGINS": "1"}
