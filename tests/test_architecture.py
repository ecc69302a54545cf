"""The shape of the tree: who may import whom, how long a module may be, who knows what.

Read from the source, not from what happens to be loaded: an import inside a function or
under TYPE_CHECKING counts like any other.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "agentctl"
MODULES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 400

MAY_IMPORT: dict[str, set[str]] = {
    "core": {"errors"},
    "store": {"core", "errors"},
    "host": {"core", "errors"},
    "adapters": {"core", "errors"},
    "documents": {"core", "ops"},
    "typescript": {"core", "documents"},
    "render": {"core", "documents", "ops"},
    "runtime": {"core", "errors", "host", "store", "adapters"},
    "ops": {"core", "store", "host", "adapters", "errors", "runtime"},
    "commands": {"ops", "render", "documents", "typescript", "core", "errors", "runtime", "streams"},
    "errors": set(),
    "failures": {"core", "errors", "host", "streams", "usage"},
    "usage": {"cli", "core", "errors"},
    "streams": set(),
    "manpages": {"core"},
    "cli": {"failures"},
    "__init__": set(),
    "__main__": {"cli"},
}
"""Package or module → the others of ours that it may import. Everybody may import the version."""

ALSO: dict[str, set[str]] = {
    # Finds the real program beside npm's launcher, as a shell would find that.
    "adapters/codex/program.py": {"host"},
    # Completion answers without an operation: it must neither reconcile nor fail.
    "commands/_complete.py": {"store", "host", "adapters"},
    # Writes files made from the tree of commands.
    "commands/generate.py": {"cli", "manpages"},
}

FLOORS: tuple[set[str], ...] = (
    {"found", "reconcile", "settings"},
    {"external"},
    {"sessions"},
    {"worktrees", "directories"},
    {"start", "state"},
)
"""The rooms of `ops`, lowest floor first. A room imports from lower floors and from itself alone."""

NARROW: dict[str, set[str]] = {
    "adapters": {"agentctl.core", "agentctl.errors", "agentctl.host.programs", "agentctl.adapters"},
}
"""Where more than the package's name decides."""

KNOWS: dict[str, set[str]] = {
    "click": {"cli", "failures", "manpages", "usage", "commands"},
    "tabulate": {"render"},
    "sqlite3": {"store", "adapters"},
    "psutil": {"host"},
    "platformdirs": {"host"},
    "yaml": {"host"},
    "websockets": {"adapters/openclaw/gateway.py"},
    "json5": {"adapters/openclaw/place.py"},
    "subprocess": {"host", "adapters/demo_agent.py"},
}
"""Library → who alone may import it."""

PURE = {
    "__future__", "collections", "dataclasses", "datetime", "difflib", "enum", "functools", "itertools",
    "math", "re", "signal", "string", "types", "typing", "unicodedata", "_sha1", "hashlib", "os.urandom",
    "pathlib.PurePath", "pathlib.PurePosixPath",
}  # fmt: skip
"""What of the standard library the core may use: values, no files, no processes, no clock."""


@dataclass(frozen=True)
class Import:
    where: str
    line: int
    name: str
    """Dotted, down to what is imported: `agentctl.core.model`, `os.urandom`."""

    def __str__(self) -> str:
        return f"{self.where}:{self.line} imports {self.name}"


def imports() -> Iterator[Import]:
    for path in MODULES:
        where = path.relative_to(PACKAGE).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(where, node.lineno, alias.name)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{where}:{node.lineno}: a relative import"
                for alias in node.names:
                    yield Import(where, node.lineno, f"{node.module}.{alias.name}")


IMPORTS = list(imports())


def home(where: str) -> str:
    """The package of a module, or its own name at the top."""
    return where.split("/")[0] if "/" in where else where.removesuffix(".py")


def room(where: str) -> str:
    """The folder below `ops` that a module is in, or its own name; empty for `ops` itself."""
    name = where.split("/")[0].removesuffix(".py")
    return "" if name == "__init__" else name


def within(name: str, others: set[str]) -> bool:
    return any(name == other or name.startswith(other + ".") for other in others)


def target(name: str) -> str:
    """`agentctl.core.model.Session` → `core`; `agentctl.__version__` → ``."""
    part = name.removeprefix("agentctl").removeprefix(".").split(".")[0]
    return "" if part == "__version__" else part


def test_the_table_names_every_package_and_module() -> None:
    present = {home(path.relative_to(PACKAGE).as_posix()) for path in MODULES}
    assert present == set(MAY_IMPORT)


def test_everybody_imports_only_what_the_table_allows() -> None:
    wrong = [
        str(each)
        for each in IMPORTS
        if each.name.split(".")[0] == "agentctl"
        and target(each.name) not in {"", home(each.where)}
        and target(each.name) not in MAY_IMPORT[home(each.where)] | ALSO.get(each.where, set())
    ]
    assert not wrong, "\n".join(wrong)


def test_a_room_of_ops_imports_only_from_lower_floors() -> None:
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    wrong = []
    for each in IMPORTS:
        if not each.where.startswith("ops/") or not each.name.startswith("agentctl.ops."):
            continue
        own, other = room(each.where.removeprefix("ops/")), each.name.split(".")[2]
        if own not in ("", other) and floor[other] >= floor[own]:
            wrong.append(str(each))
    assert not wrong, "\n".join(wrong)


def test_every_room_of_ops_has_a_floor() -> None:
    rooms = {room(path.relative_to(PACKAGE / "ops").as_posix()) for path in (PACKAGE / "ops").rglob("*.py")}
    assert rooms - {""} == {name for floor in FLOORS for name in floor}


def test_no_circle_of_modules_inside_ops() -> None:
    """Also not inside one room: what two modules need of each other belongs into a third."""
    known = {
        "agentctl." + path.relative_to(PACKAGE).with_suffix("").as_posix().replace("/", "."): path
        for path in (PACKAGE / "ops").rglob("*.py")
        if path.stem != "__init__"
    }
    needs: dict[str, set[str]] = {name: set() for name in known}
    for each in IMPORTS:
        own = "agentctl." + each.where.removesuffix(".py").replace("/", ".")
        for other in (each.name, each.name.rpartition(".")[0]):
            if own in needs and other in needs and other != own:
                needs[own].add(other)
    while leaves := {name for name, others in needs.items() if not others & needs.keys()}:
        for name in leaves:
            del needs[name]
    assert not needs, f"a circle among: {', '.join(sorted(needs))}"


def test_what_an_adapter_may_know_of_the_host() -> None:
    wrong = [
        str(each)
        for each in IMPORTS
        if home(each.where) in NARROW
        and each.name.startswith("agentctl.")
        and not within(each.name, NARROW[home(each.where)])
    ]
    assert not wrong, "\n".join(wrong)


def test_adapters_do_not_know_each_other() -> None:
    """An adapter is a module, a package, or modules named after it; beyond that it has `base` and such."""
    from agentctl.adapters.registry import ADAPTERS

    names = {module.rpartition(".")[2] for module in ADAPTERS.values()}
    wrong = []
    for each in IMPORTS:
        if home(each.where) != "adapters" or each.where == "adapters/registry.py":
            continue
        own = each.where.split("/")[1].removesuffix(".py")
        others = {
            f"agentctl.adapters.{name}" for name in names if name != own and not own.startswith(f"{name}_")
        }
        if within(each.name, others):
            wrong.append(str(each))
    assert not wrong, "\n".join(wrong)


def test_the_core_is_pure() -> None:
    wrong = [
        str(each)
        for each in IMPORTS
        if home(each.where) == "core"
        and target(each.name) != "errors"
        and not within(each.name, PURE | {"agentctl.core"})
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", KNOWS)
def test_who_knows_a_library(library: str) -> None:
    found = [each for each in IMPORTS if within(each.name, {library})]
    wrong = [str(each) for each in found if not {home(each.where), each.where} & KNOWS[library]]
    assert found, f"nobody imports {library}: the table is out of date"
    assert not wrong, "\n".join(wrong)


def test_completion_and_help_cannot_load_more_than_they_need() -> None:
    """What `cli` imports at module level is what `--help` costs."""
    tree = ast.parse((PACKAGE / "cli.py").read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
    assert names == {"__future__", "os", "sys", "typing", "click", "agentctl"}


def test_every_module_is_short_and_says_what_it_is_for() -> None:
    wrong = []
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if text.count("\n") >= LONGEST:
            wrong.append(f"{path.relative_to(PACKAGE)}: {LONGEST} lines or more")
        if not ast.get_docstring(ast.parse(text)):
            wrong.append(f"{path.relative_to(PACKAGE)}: no docstring")
    assert not wrong, "\n".join(wrong)


ENUMS = {
    "status", "outcome", "action", "state", "source", "kind", "role", "stop_cause", "liveness", "listing",
}  # fmt: skip
"""Attributes whose values are members of enums."""


def test_an_enum_is_compared_with_its_members() -> None:
    """A misspelt string compares unequal without a word; a misspelt member fails."""
    wrong = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Compare):
                continue
            sides = [
                part
                for side in (node.left, *node.comparators)
                for part in (side.elts if isinstance(side, (ast.Tuple, ast.Set, ast.List)) else [side])
            ]
            is_enum = any(isinstance(side, ast.Attribute) and side.attr in ENUMS for side in sides)
            if is_enum and any(
                isinstance(side, ast.Constant) and isinstance(side.value, str) for side in sides
            ):
                wrong.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {ast.unparse(node)}")
    assert not wrong, "\n".join(wrong)


def test_no_module_is_called_utils() -> None:
    vague = {"utils", "util", "helpers", "helper", "misc", "common"}
    assert not [path for path in MODULES if vague & {path.stem, *path.parent.relative_to(PACKAGE).parts}]


def test_every_command_of_the_table_has_a_module_of_commands() -> None:
    from agentctl.cli import ALIASES, COMMANDS, HIDDEN

    targets = [*(entry[0] for entry in (COMMANDS | ALIASES).values()), *HIDDEN.values()]
    modules = {target.partition(":")[0] for target in targets}
    files = {
        "agentctl.commands." + path.stem
        for path in (PACKAGE / "commands").glob("*.py")
        if not path.stem.startswith("_")
    }
    assert modules == files
