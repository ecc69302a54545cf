"""The table of an adapter as a launch gets it: checked, or refused with its place in the file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from agentctl.adapters import registry
from agentctl.errors import UsageFault
from agentctl.ops.settings.tables import adapter_table
from agentctl.runtime import Runtime


@pytest.fixture
def runtime(sealed_home: Path) -> Iterator[Runtime]:
    sealed_home.mkdir(mode=0o700)
    made = Runtime.from_environment("test")
    yield made
    made.close()


def test_a_sound_table_is_the_launchs(runtime: Runtime, sealed_home: Path) -> None:
    (sealed_home / "config.toml").write_text('[adapters.opencode]\nagent = "build"\nargs = ["-v"]\n')
    adapter = registry.load("opencode")
    assert adapter_table(runtime, "opencode", adapter) == {"agent": "build", "args": ["-v"]}
    assert adapter_table(runtime, "demo", registry.load("demo")) == {}


def test_a_misspelt_key_is_refused_with_its_line(runtime: Runtime, sealed_home: Path) -> None:
    config = sealed_home / "config.toml"
    config.write_text('[adapters.opencode]\nargs = []\nagnet = "build"\n')
    with pytest.raises(UsageFault) as refused:
        adapter_table(runtime, "opencode", registry.load("opencode"))
    assert refused.value.message == f"{config}, line 3: adapters.opencode.agnet: is not a setting"
    assert refused.value.hint == 'did you mean "adapters.opencode.agent"?'
    assert adapter_table(runtime, "demo", registry.load("demo")) == {}, "another adapter's business"


def test_an_adapter_of_another_package_may_be_told_to_discover(runtime: Runtime, sealed_home: Path) -> None:
    text = "[adapters.theirs]\ndiscover = true\n[adapters.demo]\ndiscover = true\n"
    (sealed_home / "config.toml").write_text(text)
    demo = registry.load("demo")
    assert adapter_table(runtime, "theirs", demo) == {"discover": True}
    with pytest.raises(UsageFault, match="discover"):
        adapter_table(runtime, "demo", demo)
