"""Matrix files as they are on disk: both notations, and the lines of what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentctl.core.slots import Slot
from agentctl.errors import NotFound, UsageFault
from agentctl.host import matrix

YAML = """\
# as the TypeScript agentctl had it
prompt: |
  Fix the build.
  Then test it.
cwd: ~/src
hooks:
  on_create: npm ci
matrix:
  - adapter: claude-code
    model: [opus, sonnet]
  - {adapter: codex, baseBranch: main}
"""

TOML = """\
prompt = "Fix the build."
[hooks]
on_create = "npm ci"
[[matrix]]
adapter = "claude-code"
model = ["opus", "sonnet"]
[[matrix]]
adapter = "codex"
"""


def load(tmp_path: Path, text: str | bytes, name: str = "m.yaml") -> object:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return matrix.load(str(path))


def fault(tmp_path: Path, text: str | bytes, name: str = "m.yaml") -> UsageFault:
    with pytest.raises(UsageFault) as caught:
        load(tmp_path, text, name)
    return caught.value


def test_yaml_and_toml_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(YAML)
    (tmp_path / "m.toml").write_text(TOML)
    yaml, toml = matrix.load(str(tmp_path / "m.yaml")), matrix.load(str(tmp_path / "m.toml"))
    assert yaml.slots[:2] == toml.slots[:2] == (Slot("claude-code", "opus"), Slot("claude-code", "sonnet"))
    assert yaml.slots[2] == Slot("codex", base_branch="main")
    assert yaml.hooks == toml.hooks == {"on_create": "npm ci"}
    assert yaml.prompt == "Fix the build.\nThen test it.\n"


def test_anchors_and_merged_keys_are_yaml_like_any_other(tmp_path: Path) -> None:
    text = "matrix:\n- &a {adapter: demo, base_branch: main}\n- {<<: *a, model: x}\n"
    assert matrix.load(str(_written(tmp_path, text))).slots == (
        Slot("demo", base_branch="main"),
        Slot("demo", "x", base_branch="main"),
    )


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        (
            "matrix:\n- adapter: a\n  modle: x\n",
            "m.yaml",
            "line 3: matrix[0].modle: is not a key of a matrix file",
        ),
        (
            "matrix:\n- adapter: a\n- adapter: b\n  model: [x,\n    4.5]\n",
            "m.yaml",
            "line 5: matrix[1].model[1]: must be a string, not float 4.5",
        ),
        ("matrix:\n- model: x\n", "m.yaml", "m.yaml, line 2: matrix[0]: has no adapter"),
        (
            "prompt: x\nmatrix:\n- adapter: a\nprompt: y\n",
            "m.yaml",
            "m.yaml, line 1: prompt: appears twice, again in line 4",
        ),
        ("matrix: [\n", "m.yaml", "m.yaml, line 2, column 1: "),
        (
            "matrix: !!python/object/apply:os.system ['true']\n",
            "m.yaml",
            "line 1, column 9: could not determine a constructor",
        ),
        ("a: 1\n---\nb: 2\n", "m.yaml", "m.yaml, line 2, column 1: but found another document"),
        ("matrix:\n- adapter: 2026-13-40\n", "m.yaml", "month must be in 1..12"),
        ("", "m.yaml", "must be a table"),
        ("- a\n", "m.yaml", "must be a table"),
        (
            '[[matrix]]\nadapter = "a"\n[[matrix]]\nmodle = "x"\n',
            "m.toml",
            "m.toml, line 4: matrix[1].modle: is not a key of a matrix file",
        ),
        (
            '[[matrix]]\nadapter = "a"\n[hooks]\non_start = "x"\n',
            "m.toml",
            "m.toml, line 4: hooks.on_start: is not a key",
        ),
        ("matrix = [\n", "m.toml", "m.toml, end of document: "),
        (
            "[[matrix]]\nadapter = 3\n",
            "m.toml",
            "m.toml, line 2: matrix[0].adapter: must be a string, not int 3",
        ),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(tmp_path: Path, text: str, name: str, said: str) -> None:
    assert said in fault(tmp_path, text, name).message


def test_a_file_that_is_not_text_or_too_large_or_missing(tmp_path: Path) -> None:
    assert "not UTF-8" in fault(tmp_path, b"\xff\xfe").message
    assert "is too large" in fault(tmp_path, "#" * (matrix.LARGEST + 1)).message
    with pytest.raises(NotFound):
        matrix.load(str(tmp_path / "none"))
    with pytest.raises(UsageFault, match="is a directory"):
        matrix.load(str(tmp_path))


def test_a_file_made_to_exhaust_the_reader_is_refused(tmp_path: Path) -> None:
    levels = "".join(f"l{n + 1}: &l{n + 1} [{', '.join([f'*l{n}'] * 9)}]\n" for n in range(30))
    assert "l30: is not a key" in fault(tmp_path, f"l0: &l0 [x]\n{levels}matrix:\n- adapter: a\n").message
    assert "nested too deeply" in fault(tmp_path, "[" * 5000).message
