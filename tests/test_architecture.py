"""Data goes one way: a module imports only from rows above its own."""

import ast
from pathlib import Path

import local_ai

ROOT = Path(local_ai.__file__).parent

ROWS = (
    {
        "errors",
        "guard",
        "patient_log",
        "explain",
        "clients",
        "frozen",
        "vitals",
        "xmlrpc",
        "imports",
        "launcher",
        "there",
        "whole_heads",
    },
    {"paths", "program", "logs", "lock", "exits", "environment", "wire", "unix_http"},
    {"settings"},
    {"models", "state", "target"},
    {"plan", "render", "status", "rpc", "preflight"},
    {"daemon", "probe"},
    {"observe", "ports", "deep", "results"},
    {"starting", "stopping", "draining", "unloading", "engine", "gateway"},
    {"manager"},
    {"console"},
    {"commands"},
    {"cli"},
    {"__main__"},
)
ROW = {name: index for index, names in enumerate(ROWS) for name in names}


def local_imports(file: Path) -> set[str]:
    """Names of our modules and packages that a file imports, at the top or deferred."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "local_ai":
            _, *rest = (node.module or "").split(".")
            found |= {rest[0]} if rest else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("local_ai.")}
    return found


def modules() -> list[tuple[str, Path]]:
    files = [file for file in ROOT.rglob("*.py") if file != ROOT / "__init__.py"]
    return [(file.relative_to(ROOT).parts[0].removesuffix(".py"), file) for file in files]


def test_every_module_has_a_row():
    assert {name for name, _ in modules()} == set(ROW)


def test_modules_import_only_from_rows_above_their_own():
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for own, file in modules()
        for name in local_imports(file) - {own}
        if ROW[name] >= ROW[own]
    ]

    assert wrong == []


def test_programs_import_neither_each_other_nor_what_manages_them():
    forbidden = {"console", "daemon", "manager", "commands", "cli", "starting", "stopping"}
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for own, file in modules()
        if own in {"engine", "gateway"}
        for name in local_imports(file) & (forbidden | ({"engine", "gateway"} - {own}))
    ]

    assert wrong == []


def test_only_settings_and_paths_read_the_environment():
    readers = {
        file.relative_to(ROOT).as_posix()
        for _, file in modules()
        if any(isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"} for node in tree(file))
    }

    # The console asks for NO_COLOR, daemon and client pass their own environment on, the engine sets what its
    # libraries read.
    others = {"commands/client.py", "console.py", "daemon.py", "engine/__main__.py"}
    assert readers <= {"settings/load.py", "paths.py"} | others


def test_only_the_console_prints():
    printers = {
        file.relative_to(ROOT).as_posix()
        for _, file in modules()
        if any(isinstance(node, ast.Name) and node.id == "print" for node in tree(file))
    }

    assert printers == set()


def tree(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text())))
