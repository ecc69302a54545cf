"""Adapters of other packages: the documented example through the real command line, and broken ones."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from agentctl.adapters import registry
from agentctl.errors import AdapterUnavailable
from tests.conftest import Run, RunReal

if TYPE_CHECKING:
    from agentctl.adapters.base import Adapter
    from tests.data.example_adapter import agentctl_example

    _CHECKED: Adapter = agentctl_example

EXAMPLE = Path(__file__).parent / "data" / "example_adapter"
SOURCE = (EXAMPLE / "agentctl_example.py").read_text()

Install = Callable[..., Path]


def write_package(
    site: Path, name: str, version: str, points: Mapping[str, str], files: Mapping[str, str]
) -> None:
    """What an installer leaves of a package: its modules, and metadata with entry points."""
    metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in points.items()]
    (metadata / "entry_points.txt").write_text("\n".join(["[agentctl.adapters]", *lines, ""]))
    for file, text in files.items():
        (site / file).write_text(text)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Where packages are installed; it is on the path of every process of the test."""
    place = tmp_path / "site"
    place.mkdir()
    return place


@pytest.fixture
def example(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example package as its own pyproject.toml describes it, its program on PATH; its store."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"][registry.ENTRY_POINT_GROUP]
    write_package(site, project["name"], project["version"], points, {"agentctl_example.py": SOURCE})
    programs = tmp_path / "programs"
    programs.mkdir()
    program = Path(shutil.copy(EXAMPLE / "example-agent", programs))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    store = tmp_path / "example-store"
    monkeypatch.setenv("EXAMPLE_HOME", str(store))
    return store


def adapters(run_real: RunReal) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = run_real("adapters --json").json()["adapters"]
    return found


def test_it_is_listed_with_what_it_can_do(example: Path, run_real: RunReal) -> None:
    found = adapters(run_real)
    assert [one["name"] for one in found] == [*registry.ADAPTERS, "example"]
    one = found[-1]
    assert (one["source"], one["error"], one["verified"]) == ("agentctl_example", None, "1.0")
    assert one["found"].endswith("/programs/example-agent")
    assert "Example agent" in run_real("adapters").stdout
    assert [one for one in run_real("doctor --json").json()["checks"] if one["subject"] == "adapter example"]


def test_it_is_launched_watched_and_resumed(example: Path, run_real: RunReal) -> None:
    first = run_real("launch example -p hi --model big --wait").stdout.strip()
    (one,) = run_real(f"status --json {first}").json()["sessions"]
    assert (one["adapter"], one["outcome"], one["model"]) == ("example", "succeeded", "big")
    assert (one["tokens"]["input"], one["tokens"]["output"]) == (2, 3)
    assert one["result"] == "You said: hi"
    assert run_real(f"peek {first}").stdout == "You said: hi\n"
    assert run_real(f"logs {first}").lines[-1] == "You said: hi"

    again = run_real(["resume", "--wait", first, "more"]).stdout.strip()
    (two,) = run_real(f"status --json {again}").json()["sessions"]
    assert (two["native_id"], two["resumed_from"]) == (one["native_id"], first)

    failed = run_real("launch example -p fail --wait", exit=1)
    assert "told to fail" in failed.stderr


def test_it_is_among_what_may_be_meant(example: Path, run_real: RunReal) -> None:
    refused = run_real("launch exampel -p hi", exit=12)
    assert "unknown adapter: exampel" in refused.stderr
    assert 'did you mean "example"' in refused.stderr


def test_its_own_sessions_are_listed_once_the_configuration_says_so(example: Path, run_real: RunReal) -> None:
    example.mkdir()
    record = {"session": "ex-1", "model": "m", "cwd": "/p", "prompt": "by hand", "text": "Done."}
    (example / "ex-1.json").write_text(json.dumps(record))
    assert run_real("list -a --json").json()["sessions"] == []
    run_real("config set adapters.example.discover true")
    (one,) = run_real("list -a --json").json()["sessions"]
    assert (one["adapter"], one["source"], one["native_id"]) == ("example", "external", "ex-1")
    assert (one["prompt"], one["outcome"]) == ("by hand", "succeeded")
    assert run_real("peek ex-1").stdout == "Done.\n"
    launched = run_real("launch example -p hi --wait").stdout.strip()
    listed = run_real("list -a --json").json()["sessions"]
    assert {each["id"] for each in listed} == {one["id"], launched}, "what was launched here is no other's"


def test_the_readme_names_what_is_there() -> None:
    from agentctl.adapters import base

    readme = (EXAMPLE / "README.md").read_text()
    members = {name for name in vars(base.Adapter) if not name.startswith("_")}
    assert [name for name in sorted(members) if f"`{name}`" not in readme] == []
    defaults = {name for name in vars(base) if name.startswith(("no_", "never_"))} | {"plain_lines"}
    assert [name for name in sorted(defaults) if f"`{name}`" not in readme] == []
    assert [
        name for name in ("agentctl_example.py", "pyproject.toml", "example-agent") if name not in readme
    ] == []


# Broken ones

BROKEN = {
    "at_import": ("import no_such_module_anywhere\n", "No module named 'no_such_module_anywhere'"),
    "in_code": ("1 / 0\n", "ZeroDivisionError: division by zero"),
    "no_python": ("def (\n", "SyntaxError"),
    "leaving": ("raise SystemExit(3)\n", "SystemExit: 3"),
    "half": ("NAME = 'half'\nSUMMARY = 'Half of one.'\n", "it lacks CAPABILITIES, INSTALL"),
    "renamed": (SOURCE, "it calls itself example"),
    "uncallable": (SOURCE.replace('"example"', '"uncallable"') + "\nmatch = 1\n", "not a function: match"),
    "unable": (
        SOURCE.replace('"example"', '"unable"') + "\nCAPABILITIES = frozenset({'fly'})\n",
        "its CAPABILITIES are not a set of launch, prompt",
    ),
    "endless": (SOURCE.replace('"example"', '"endless"') + "\nLADDER = ()\n", "its LADDER has no rung"),
}


@pytest.fixture
def broken(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them at once: none hides another."""
    for name, (source, _) in BROKEN.items():
        write_package(site, f"p-{name}", "1", {name: f"{name}_adapter"}, {f"{name}_adapter.py": source})
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))


@pytest.mark.usefixtures("broken")
def test_each_broken_one_is_a_row_that_says_why(run_real: RunReal) -> None:
    errors = {one["name"]: one["error"] for one in adapters(run_real)}
    assert list(errors) == [*registry.ADAPTERS, *(name for name in errors if name in BROKEN)]
    assert not [name for name in registry.ADAPTERS if errors[name]]
    assert [name for name, (_, said) in BROKEN.items() if said not in (errors[name] or "")] == []
    facts = {one["subject"]: one for one in run_real("doctor --json").json()["checks"]}
    for name in BROKEN:
        assert facts[f"adapter {name}"]["level"] == "warn"
        assert f"cannot be loaded: {errors[name]}" in facts[f"adapter {name}"]["fact"]
    shown = run_real("adapters")
    assert "Traceback" not in shown.stdout + shown.stderr


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("name", BROKEN)
def test_a_launch_of_a_broken_one_says_why(name: str, run: Run) -> None:
    refused = run(f"launch {name} -p hi", exit=12)
    assert f"adapter {name} cannot be loaded: " in refused.stderr
    assert BROKEN[name][1] in refused.stderr
    assert f"provides {name}_adapter" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert run("launch exec --wait -- true").exit == 0


@pytest.mark.usefixtures("broken")
def test_a_broken_one_that_is_to_be_listed_hides_no_other(
    run_real: RunReal, site: Path, sealed_home: Path
) -> None:
    faulty = SOURCE.replace('"example"', '"faulty"') + "\ndef store_path(environ):\n    return 1 / 0\n"
    write_package(site, "faulty", "1", {"faulty": "faulty_adapter"}, {"faulty_adapter.py": faulty})
    run_real("launch exec -- true")
    tables = [f"[adapters.{name}]\ndiscover = true\n" for name in ("faulty", "in_code", "nobody")]
    (sealed_home / "config.toml").write_text("".join(tables))
    listed = run_real("list -a --json")
    assert [one["adapter"] for one in listed.json()["sessions"]] == ["exec"]
    assert "Traceback" not in listed.stderr
    assert "adapter faulty failed: ZeroDivisionError" in listed.stderr
    assert "adapter in_code cannot be loaded" in listed.stderr
    assert "unknown adapter: nobody" in listed.stderr


def test_a_built_in_name_stays_built_in(
    site: Path, run_real: RunReal, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_package(site, "p", "1", {"demo": "other_demo"}, {"other_demo.py": "1 / 0\n"})
    monkeypatch.setenv("PYTHONPATH", str(site))
    built_in, other = (one for one in adapters(run_real) if one["name"] == "demo")
    assert (built_in["source"], built_in["error"]) == ("built in", None)
    assert (other["source"], other["error"]) == (
        "other_demo",
        "its name belongs to a built-in adapter, which is used",
    )
    facts = [one for one in run_real("doctor --json").json()["checks"] if one["subject"] == "adapter demo"]
    assert [one["level"] for one in facts] == ["ok", "warn"]
    assert "other_demo" in facts[1]["remedy"]
    assert run_real("launch demo -p hi --settle 0").exit == 0


def test_of_two_packages_the_first_on_the_path_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        write_package(tmp_path / f"site{number}", f"p{number}", "1", {"twice": f"adapter{number}"}, {})
    monkeypatch.syspath_prepend(str(tmp_path / "site2"))
    monkeypatch.syspath_prepend(str(tmp_path / "site1"))
    assert registry.third_party()["twice"] == "adapter1"


def test_metadata_that_cannot_be_read_hides_no_other(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_package(site, "a-good", "1", {"good": "good_adapter"}, {})
    write_package(site, "a-bad", "1", {}, {})
    (site / "a_bad-1.dist-info" / "entry_points.txt").write_bytes(
        b"[agentctl.adapters]\nno equals sign\n\xff"
    )
    monkeypatch.syspath_prepend(str(site))
    assert registry.third_party()["good"] == "good_adapter"


def test_an_entry_point_may_name_an_object(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = SOURCE.replace('"example"', '"inner"')
    source = f"import types\nit = types.ModuleType('it')\nexec({inner!r}, vars(it))\n"
    write_package(site, "p", "1", {"inner": "holder:it"}, {"holder.py": source})
    monkeypatch.syspath_prepend(str(site))
    assert registry.load("inner").NAME == "inner"


def test_nobody_provides_it(run: Run) -> None:
    with pytest.raises(AdapterUnavailable, match="unknown adapter: nobody"):
        registry.load("nobody")
    assert (
        'did you mean "codex"' in run("launch codx -p hi", exit=12).stderr or "codex" not in registry.ADAPTERS
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, []),
        ({"OPENCLAW_GATEWAY_TOKEN": "x"}, ["openclaw"]),
        ({"OPENCLAW_GATEWAY_TOKEN": ""}, []),
        ({"OPENCLAW_GATEWAY_URL": "x"}, ["openclaw"]),
    ],
)
def test_a_variable_alone_can_bring_an_adapter_into_use(
    tmp_path: Path, variables: dict[str, str], expected: list[str]
) -> None:
    environ = {"HOME": str(tmp_path), **variables}
    assert registry.in_use(environ, {}) == expected
    tables: dict[str, dict[str, object]] = {
        "demo": {"discover": True},
        "mine": {"discover": True},
        "other": {"discover": "yes"},
    }
    assert registry.in_use(environ, tables) == [*expected, "mine"]
