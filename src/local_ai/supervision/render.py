"""Programs → the text of supervisord.conf. Pure, but for reading the template.

supervisord parses with `RawConfigParser(inline_comment_prefixes=(';', '#'))`, then expands `%(name)s` in
most values, then splits commands as a shell would. Each filter here undoes all of that for one kind of
value; a property test parses the result back with supervisor's own parser.

Source: supervisor 4.3, `options.py` (`UnhosedConfigParser`, `expand`), measured.
"""

import re
import shlex
from pathlib import Path

from local_ai.errors import ConfigError
from local_ai.settings.paths import Paths
from local_ai.supervision.program import FINAL_EXITS, SUPERVISORD, Program

CONF_TEMPLATE = "supervisord.conf"
# What supervisord itself asks for where nothing is said.
OPEN_FILES = 1024
PROCESSES = 200


def template_dir() -> Path:
    """Return the folder of templates: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "templates"
    return installed if installed.is_dir() else package.parents[1] / "templates"


def render(
    programs: tuple[Program, ...], paths: Paths, *, open_files: int = OPEN_FILES, processes: int = PROCESSES
) -> str:
    """Render supervisord.conf.

    Args:
        open_files: How many files supervisord asks the system to let it have open; it needs to get them.
        processes: The same for the processes of this user.

    Raises:
        ConfigError: A path holds a character that the file's format has no way to write.
    """
    import jinja2  # here, not above: `status` and `stop` pass through this module and render nothing

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template_dir()),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        autoescape=False,  # an ini file, not HTML; the filters below escape
    )
    environment.filters |= {"value": escape_value, "log": escape_log, "command": escape_command}
    return environment.get_template(CONF_TEMPLATE).render(
        programs=programs,
        paths=paths,
        supervisorctl=_supervisorctl(programs, paths),
        supervisord_log=paths.log(SUPERVISORD),
        final_exits=FINAL_EXITS,
        open_files=open_files,
        processes=processes,
    )


def _supervisorctl(programs: tuple[Program, ...], paths: Paths) -> str:
    """Return the call of supervisor's own client: installed tools put local-ai alone on the PATH."""
    python = programs[0].command[0]
    return shlex.join([python, "-m", "supervisor.supervisorctl", "-c", str(paths.conf)])


def escape_value(value: object) -> str:
    """Escape a path for a plain value: no comment begins in it and nothing in it is expanded."""
    text = _writable(str(value)).replace("%", "%%")
    # "%(here).0s" expands to nothing; it parts the space from the sign that would begin a comment.
    return re.sub(r"(?<=\s)(?=[;#])", "%(here).0s", text)


def escape_log(value: object) -> str:
    """Escape a program's log file, which supervisor expands once more than other values."""
    return escape_value(str(value).replace("%", "%%"))


def escape_command(words: tuple[str, ...]) -> str:
    """Quote a command so that supervisord's shlex finds exactly these words."""
    return " ".join(_quoted(word) for word in words)


def _quoted(word: str) -> str:
    # Closing and reopening the quotes adds nothing to the word, but parts "%" from what would be
    # expanded with it and a space from what would begin a comment.
    escaped = _writable(word).replace("'", "'\"'\"'").replace("%", "%%''")
    return "'" + re.sub(r"(?<=\s)(?=[;#])", "''", escaped) + "'"


def _writable(text: str) -> str:
    broken = next((char for char in text if char in "\r\n\0" or "\ud800" <= char <= "\udfff"), None)
    edge = text != text.strip()
    if broken is None and not edge:
        return text
    reason = "begins or ends with a space" if broken is None else f"holds the character {broken!r}"
    raise ConfigError(
        "supervisord.conf cannot be written",
        why=f"the path {text!r} {reason}, which that file's format cannot express",
        fix="choose another folder with XDG_STATE_HOME, or move the installation",
    )
