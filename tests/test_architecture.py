"""Data goes one way: a folder imports only from rows above its own."""

import ast
from pathlib import Path

import local_ai

ROOT = Path(local_ai.__file__).parent

ROWS = (
    {"entry", "printable", "atomic_file", "regular_file"},
    {"errors", "unix_http"},
    {"settings", "serving", "clients"},
    {"models"},
    {"supervision"},
    {"status"},
    {"lifecycle", "gateway", "engine", "system_service"},
    {"doctor", "pull"},
    {"cli"},
    {"__main__"},
)
ROW = {name: index for index, names in enumerate(ROWS) for name in names}
SETTERS_OF_THE_ENVIRONMENT = {
    "cli/commands/client.py",  # passes its own environment on to the client
    "cli/commands/service.py",  # passes where files lie on to the service
    "cli/console.py",  # NO_COLOR
    "engine/__main__.py",  # sets what its libraries read
    "engine/cluster/follow.py",  # the same
    "engine/cluster/join.py",  # the same
    "models/starter_file.py",  # passes its own environment on to pip or uv
    "engine/omni/__main__.py",  # the same, and where ffmpeg lies
    "lifecycle/omni.py",  # passes its own environment on to the installer
    "supervision/supervisord.py",  # passes its own environment on to supervisord
}


def local_imports(file: Path) -> set[str]:
    """Names of our folders and modules that a file imports, at the top or deferred."""
    found: set[str] = set()
    for node in tree(file):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "local_ai":
            _, *rest = (node.module or "").split(".")
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("local_ai.")}
    return found


def modules() -> list[tuple[str, Path]]:
    files = [file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py"]
    return [(file.relative_to(ROOT).parts[0].removesuffix(".py"), file) for file in files]


def test_every_folder_has_a_row():
    assert {name for name, _ in modules()} == set(ROW)


def test_folders_import_only_from_rows_above_their_own():
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for own, file in modules()
        for name in local_imports(file) - {own}
        if ROW[name] >= ROW[own]
    ]

    assert wrong == []


def test_only_settings_read_the_environment():
    readers = {
        file.relative_to(ROOT).as_posix()
        for own, file in modules()
        if own != "settings"
        and any(isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} for node in tree(file))
    }

    assert readers <= SETTERS_OF_THE_ENVIRONMENT


def test_nothing_prints_but_through_the_console():
    printers = {
        file.relative_to(ROOT).as_posix()
        for _, file in modules()
        if any(isinstance(node, ast.Name) and node.id == "print" for node in tree(file))
    }

    assert printers == set()


def test_what_models_see_with_is_imported_when_one_is_loaded_and_not_before():
    eager = {
        file.relative_to(ROOT).as_posix()
        for _, file in modules()
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in (getattr(node, "module", None) or "", *(alias.name for alias in node.names))
        if name.split(".")[0] in {"mlx_vlm", "PIL"}
    }

    assert eager == {"engine/pictures/decode.py"}  # in a process of its own


def tree(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text())))
