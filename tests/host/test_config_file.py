"""The configuration file as it is read: mistakes with their place, and what costs nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentctl.core.settings import Settings
from agentctl.errors import StateUnusable, UsageFault
from agentctl.host.config_file import load, with_value, without
from agentctl.host.toml_file import key_lines, nearest


def written(tmp_path: Path, text: str | bytes) -> str:
    path = tmp_path / "config.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def wrong(tmp_path: Path, text: str | bytes) -> UsageFault:
    with pytest.raises(UsageFault) as caught:
        load(written(tmp_path, text), {})
    assert caught.value.exit_code == 2
    return caught.value


def test_no_file_is_the_defaults_and_no_toml_reader(tmp_path: Path) -> None:
    assert load(str(tmp_path / "absent" / "config.toml"), {}) == Settings()
    program = (
        "import sys; from agentctl.host.config_file import load; load('/nonexistent/config.toml', {});"
        "assert 'tomllib' not in sys.modules and 'tomlkit' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_file_is_read_a_byte_order_mark_and_windows_lines_included(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbfadapter = "exec"\r\n[defaults]\r\nmodel = "gr\xc3\xbcn"\r\n')
    assert load(path, {}) == Settings(adapter="exec", model="grün")


def test_what_is_no_toml_is_told_with_line_and_column(tmp_path: Path) -> None:
    error = wrong(tmp_path, 'adapter = "exec"\nfuse 5\n')
    assert str(tmp_path / "config.toml") in error.message
    assert "line 2, column 6" in error.message


@pytest.mark.parametrize("text", [b"a = '\xff'", b"a = " + b"9" * 5000, b"a = " + b"[" * 100_000])
def test_odd_files_are_mistakes_of_the_file_too(tmp_path: Path, text: bytes) -> None:
    assert str(tmp_path / "config.toml") in wrong(tmp_path, text).message


def test_a_wrong_key_is_told_with_its_line(tmp_path: Path) -> None:
    error = wrong(tmp_path, '# mine\nadapter = "exec"\n\n[defaults]\nmodel = "m"\nfuze = "2h"\n')
    assert error.message == f"{tmp_path}/config.toml, line 6: defaults.fuze: is not a setting"
    assert error.hint == 'did you mean "defaults.fuse" or "defaults.fuse_warn"?'


def test_several_mistakes_are_told_at_once(tmp_path: Path) -> None:
    error = wrong(tmp_path, 'adaptor = "exec"\n[hooks]\ntimeout = "5"\n')
    assert [line.split(": ")[0].rpartition(" ")[2] for line in error.message.splitlines()] == ["1", "3"]
    assert '(did you mean "adapter"?)' in error.message


def test_a_wrong_variable_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageFault) as caught:
        load(written(tmp_path, ""), {"AGENTCTL_FUSE": "5"})
    assert caught.value.message.startswith("AGENTCTL_FUSE: duration '5' needs a unit")


def test_a_file_that_cannot_be_read_is_unusable_state(tmp_path: Path) -> None:
    with pytest.raises(StateUnusable, match="cannot be read"):
        load(str(tmp_path), {})


WHERE = """adapter = "x"
# fuse = "1h"
webhook = { url = "u" }
[defaults]
  "fuse" = "2h"
[hooks]
timeout = "1m"
[adapters.x]
args = []
[adapters]
y.args = []
"""


@pytest.mark.parametrize(
    ("dotted", "line"),
    [
        ("adapter", 1),
        ("webhook.url", 3),
        ("defaults", 4),
        ("defaults.fuse", 5),
        ("hooks.timeout", 7),
        ("adapters.x.args", 9),
        ("adapters.y.args", 11),
        ("fuse", None),
    ],
)
def test_lines(dotted: str, line: int | None) -> None:
    assert nearest(key_lines(WHERE), dotted.split(".")) == line


MINE = """# what I like
adapter = "exec"  # for now

[webhook]
url = "https://h.example"   # ours
# the end
"""


def test_a_change_keeps_comments_and_order() -> None:
    text = with_value(MINE, ["defaults", "fuse"], "2h")
    assert text.startswith(MINE)
    assert text.removeprefix(MINE).strip() == '[defaults]\nfuse = "2h"'
    assert with_value(MINE, ["adapter"], "demo") == MINE.replace('"exec"', '"demo"')
    assert "# the end" in without(MINE, ["webhook", "url"])


def test_a_top_level_key_goes_above_the_tables() -> None:
    text = with_value('[webhook]\nurl = "https://h.example"\n', ["adapter"], "exec")
    assert text.index("adapter") < text.index("[webhook]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        'adapters = { x = { model = "m" } }\n',
        '[adapters]\nx.model = "m"\n',
        '[adapters.x]\nmodel = "m"\n[webhook]\nurl = "https://h"\n[adapters.y]\nmodel = "n"\n',
        'adapters.x.model = "m"\r\n',
        '[adapters."x"]\nmodel = """\nm\n"""\n',
        "[adapters]",
    ],
)
def test_tables_in_every_spelling_can_be_changed(text: str) -> None:
    import tomllib

    changed = with_value(text, ["adapters", "x", "args"], ["-v"])
    before, after = tomllib.loads(text), tomllib.loads(changed)
    assert after["adapters"]["x"].pop("args") == ["-v"]
    before.setdefault("adapters", {}).setdefault("x", {})
    assert after == before
    assert tomllib.loads(without(changed, ["adapters", "x", "args"])) == before
