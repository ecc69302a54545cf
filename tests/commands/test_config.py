"""`agentctl config` on a real file."""

from __future__ import annotations

import stat
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agentctl.adapters import demo, registry
from agentctl.adapters.base import Option


@pytest.fixture
def config(sealed_home: Path) -> Path:
    return sealed_home / "config.toml"


def given(config: Path, text: str) -> None:
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(text)


def test_path(run: Any, config: Path) -> None:
    assert run("config path").stdout == f"{config}\n"
    assert run("config path --json").json() == {"schema_version": 1, "path": str(config), "exists": False}
    given(config, "not toml")
    assert run("config path --json").json()["exists"] is True


def test_set_creates_a_private_file(run: Any, config: Path) -> None:
    assert run("config set defaults.fuse 2h").stdout == ""
    assert tomllib.loads(config.read_text()) == {"defaults": {"fuse": "2h"}}
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
    assert run("config get defaults.fuse").stdout == "2h\n"


def test_set_keeps_what_a_person_wrote(run: Any, config: Path) -> None:
    mine = '# mine\nadapter = "exec" # for now\n\n[hooks]\n# loud\non_complete = "beep"\n'
    given(config, mine)
    made = run("config set --json hooks.on_complete 'printf \"\\a\"'").json()
    assert made == {"schema_version": 1, "key": "hooks.on_complete", "path": str(config), "changed": True}
    text = config.read_text()
    assert [line for line in mine.splitlines() if "beep" not in line] == [
        line for line in text.splitlines() if "printf" not in line
    ]
    assert tomllib.loads(text)["hooks"]["on_complete"] == 'printf "\\a"'
    assert run("config set --json adapter exec").json()["changed"] is False
    assert config.read_text() == text


def test_a_symbolic_link_stays_one(run: Any, config: Path, tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "agentctl.toml"
    config.parent.mkdir(parents=True)
    config.symlink_to(target)
    run("config set adapter exec")
    assert config.is_symlink()
    assert tomllib.loads(target.read_text()) == {"adapter": "exec"}
    assert [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("verb", ["get", "set", "unset"])
def test_an_unknown_setting(run: Any, config: Path, verb: str) -> None:
    result = run(f"config {verb} --json fuse {'2h' if verb == 'set' else ''}", exit=10)
    assert result.error()["code"] == "not_found"
    assert result.error()["hint"] == 'did you mean "defaults.fuse"?'
    assert not config.exists()


@pytest.mark.parametrize(
    "words",
    [
        "defaults.fuse 10",
        "webhook.url example",
        "webhook.events nothing",
        "adapter a b",
        "adapter ''",
        "logs.max_size big",
        "logs.lines 2.5",
        "peek.messages many",
        "defaults.max_running 0",
        "stop.timeout soon",
        "wait.timeout ''",
    ],
)
def test_a_wrong_value_changes_nothing(run: Any, config: Path, words: str) -> None:
    result = run(f"config set --json {words}", exit=2)
    assert result.error()["code"] == "usage"
    assert result.error()["message"].startswith(words.split()[0])
    assert not config.exists()


def test_lists_and_free_keys(run: Any, config: Path) -> None:
    run("config set webhook.events session.stopped 'fuse.*'")
    run("config set adapters.opencode.args -- --variant high")
    run("config set adapters.opencode.command oc")
    run("config set adapters.exec.command -- nice -n 5")
    run("config set adapters.opencode.agent 007")
    run("config set adapters.slate.skip_permissions true")
    run("config set adapters.slate.permission.depth 3")
    assert tomllib.loads(config.read_text()) == {
        "webhook": {"events": ["session.stopped", "fuse.*"]},
        "adapters": {
            "opencode": {"args": ["--variant", "high"], "command": "oc", "agent": "007"},
            "exec": {"command": ["nice", "-n", "5"]},
            "slate": {"skip_permissions": True, "permission": {"depth": 3}},
        },
    }
    assert run("config get webhook.events").lines == ["session.stopped", "fuse.*"]
    assert run("config get adapters.slate.skip_permissions").stdout == "true\n"
    assert run("config get adapters.slate.permission.depth --json").json()["value"] == 3
    assert "adapters.opencode.agent" in run("config show").stdout


@pytest.fixture
def choosy(monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter with an option of each kind."""
    options = (
        Option("mode", "Its mode.", choices=("fast", "careful")),
        Option("tools", "Its tools.", choices=("read", "write"), kind=list),
        Option("loud", "Whether it is loud.", kind=bool),
        Option("extra", "A table.", kind=dict),
    )
    module = ModuleType("choosy")
    vars(module).update(vars(demo) | {"NAME": "choosy", "OPTIONS": options})
    monkeypatch.setitem(sys.modules, "choosy", module)
    monkeypatch.setitem(registry.ADAPTERS, "choosy", "choosy")


@pytest.mark.usefixtures("choosy")
@pytest.mark.parametrize(
    ("words", "written"),
    [
        ("mode fast", {"mode": "fast"}),
        ("tools read write", {"tools": ["read", "write"]}),
        ("tools read", {"tools": ["read"]}),
        ("loud false", {"loud": False}),
        ("extra.deep.key 5", {"extra": {"deep": {"key": 5}}}),
    ],
)
def test_an_option_of_an_adapter_is_written_as_its_kind(
    run: Any, config: Path, words: str, written: dict[str, Any]
) -> None:
    run(f"config set adapters.choosy.{words}")
    assert tomllib.loads(config.read_text()) == {"adapters": {"choosy": written}}


@pytest.mark.usefixtures("choosy")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "mode fats",
            "adapters.choosy.mode cannot be 'fats', did you mean \"fast\"? (allowed: fast, careful)",
        ),
        ("mode fast careful", "adapters.choosy.mode takes one value"),
        ("tools read run", "adapters.choosy.tools cannot be 'run' (allowed: read, write)"),
        ("loud 1", "adapters.choosy.loud must be true or false"),
        ("extra 5", "adapters.choosy.extra is a table"),
    ],
)
def test_a_value_that_an_adapter_does_not_take_is_not_written(
    run: Any, config: Path, words: str, said: str
) -> None:
    assert said in run(f"config set adapters.choosy.{words}", exit=2).stderr
    assert not config.exists()


@pytest.mark.usefixtures("choosy")
@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("adapters.choosy.lood", 'did you mean "adapters.choosy.loud"?'),
        ("adapters.choosy.modell", "adapters.choosy.model"),
        ("adapters.choosy.x", "[adapters.choosy] takes command, model, args, mode, tools, loud, extra"),
        ("adapters.choosy.mode.deep", "adapters.choosy.mode"),
        ("adapters.chosy.mode", 'did you mean "choosy"?'),
        ("adapters.zzz.command", "agentctl adapters"),
    ],
)
def test_a_key_that_no_adapter_has_is_not_written(run: Any, config: Path, key: str, hint: str) -> None:
    error = run(f"config set --json {key} fast", exit=10).error()
    assert error["message"].startswith(f"no setting {key}")
    assert hint in error["hint"]
    assert not config.exists()


@pytest.mark.usefixtures("choosy")
def test_a_key_that_no_adapter_has_can_be_taken_out(run: Any, config: Path) -> None:
    config.parent.mkdir(exist_ok=True)
    config.write_text("[adapters.choosy]\nmod = 1\n[adapters.zzz]\nx = 1\n")
    run("config unset adapters.choosy.mod")
    run("config unset adapters.zzz")
    assert tomllib.loads(config.read_text()) == {"adapters": {"choosy": {}}}


def test_get_prints_the_default_of_what_is_not_set(run: Any) -> None:
    assert run("config get prune.older_than").stdout == "7d\n"
    assert run("config get adapter").stdout == ""
    made = run("config get --json hooks.timeout").json()
    assert (made["value"], made["default"], made["source"]) == ("5m", "5m", "default")


def test_the_environment_beats_the_file_and_that_is_said(run: Any, config: Path) -> None:
    given(config, 'adapter = "exec"\n')
    made = run("config get --json adapter", env={"AGENTCTL_ADAPTER": "demo"}).json()
    assert (made["value"], made["source"]) == ("demo", "environment")
    assert "AGENTCTL_ADAPTER" in run("config set adapter opencode", env={"AGENTCTL_ADAPTER": "demo"}).stderr
    assert run("config set adapter demo", env={"AGENTCTL_ADAPTER": "demo"}).stderr == ""


def test_unset(run: Any, config: Path) -> None:
    given(config, '# mine\nadapter = "exec"\nadaptor = "typo"\n[hooks]\ntimeout = "1m"\n')
    assert run("config unset --json adapter").json()["changed"] is True
    run("config unset adaptor")
    assert run("config unset --json adapter").json()["changed"] is False
    assert config.read_text().startswith("# mine\n")
    assert tomllib.loads(config.read_text()) == {"hooks": {"timeout": "1m"}}


def test_a_file_with_mistakes_is_mended_key_by_key(run: Any, config: Path) -> None:
    given(config, 'adapter = 5\n[defaults]\nfuse = "2"\n')
    error = run("config show --json", exit=2).error()
    assert "line 1: adapter" in error["message"]
    assert "line 3: defaults.fuse" in error["message"]
    run("config set adapter exec")
    run("config show", exit=2)
    run("config unset defaults.fuse")
    run("config show")


def test_a_file_that_is_no_toml_is_not_overwritten(run: Any, config: Path) -> None:
    given(config, "adapter = \n")
    for words in ("show", "get adapter", "set adapter exec", "unset adapter"):
        assert "line 1" in run(f"config {words}", exit=2).stderr
    assert config.read_text() == "adapter = \n"


def test_a_table_is_not_replaced_by_a_value_nor_the_other_way_round(run: Any, config: Path) -> None:
    given(config, 'defaults = "x"\n[adapter]\nname = "x"\n')
    before = config.read_text()
    assert "unset defaults" in run("config set defaults.fuse 2h", exit=2).stderr
    assert "unset adapter" in run("config set adapter exec", exit=2).stderr
    assert config.read_text() == before
    run("config unset adapter")
    run("config unset defaults")
    run("config set adapter exec")


def test_show_masks_secrets_and_get_prints_them(run: Any, config: Path) -> None:
    given(config, '[webhook]\nsecret = "hunter2"\n')
    shown = run("config show")
    assert "hunter2" not in shown.stdout
    assert ["webhook.secret", "set", "file"] in [line.split() for line in shown.lines]
    made = run("config show --json")
    assert "hunter2" not in made.stdout
    entries = {entry["key"]: entry for entry in made.json()["settings"]}
    assert (entries["webhook.secret"]["value"], entries["webhook.secret"]["is_set"]) == (None, True)
    assert entries["defaults.settle"]["value"] == "1s"
    assert run("config get webhook.secret").stdout == "hunter2\n"


def test_a_file_that_cannot_be_written_is_told(run: Any, config: Path) -> None:
    config.parent.mkdir(parents=True)
    config.symlink_to("/proc/nothing/config.toml")
    assert "cannot be written" in run("config set adapter exec", exit=1).stderr


def test_help_lists_every_setting(run: Any) -> None:
    from agentctl.core.settings import ADAPTER_SCHEMA, SCHEMA

    text = run("config --help").stdout
    assert [key.name for key in (*SCHEMA, *ADAPTER_SCHEMA) if key.name not in text] == []


def test_no_setting_is_lost_when_many_are_written_at_once(config: Path, sealed_home: Path) -> None:
    wanted = {"fuse": "2h", "settle": "3s", "model": "m"}
    others = {("prune", "older_than"): "9d", ("webhook", "timeout"): "4s", ("webhook", "secret"): "s"}
    pairs = [(f"defaults.{key}", value) for key, value in wanted.items()]
    pairs += [(".".join(key), value) for key, value in others.items()]
    started = [subprocess.Popen([sys.executable, "-m", "agentctl", "config", "set", *pair]) for pair in pairs]
    assert [one.wait(60) for one in started] == [0] * len(pairs)
    written = tomllib.loads(config.read_text())
    assert written == {
        "defaults": wanted,
        "prune": {"older_than": "9d"},
        "webhook": {"timeout": "4s", "secret": "s"},
    }
