"""What an invocation works with: one instant, the paths, the settings, the state.

Built once, lazily. It is the seam for tests, which pass their own clock, environment or
finalising call. It holds no rules and does nothing by itself.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from agentctl.core import variables
from agentctl.host.clock import utcnow
from agentctl.host.owner import continue_as_owner, give_to_owner
from agentctl.host.paths import Paths
from agentctl.host.surroundings import inherited

if TYPE_CHECKING:
    from agentctl.core.settings import Settings
    from agentctl.store.db import Database

REQUIRED = timedelta(seconds=30)
"""How long a write that must happen waits for another process's."""

OPTIONAL = timedelta(milliseconds=100)
"""How long a read command waits to record what it learnt."""


class Runtime:
    """The surroundings of one invocation."""

    def __init__(
        self,
        *,
        paths: Paths,
        environ: Mapping[str, str],
        clock: Callable[[], datetime] = utcnow,
        interpreter: str = sys.executable,
        actor: str = "agentctl",
        delivers: bool = False,
    ) -> None:
        self.paths = paths
        self.environ = environ
        self.clock = clock
        self.interpreter = interpreter
        """What a shim's finalising call runs; tests put a no-op here."""
        self.actor = actor
        """Who this invocation is in the ledger: the command's name."""
        self.delivers = delivers
        """This command runs hooks and posts webhooks itself; other commands start a deliverer for that."""
        self.sweeps = False
        """This command ends what stopped sessions left; other commands start a worker for that."""
        self.watches = False
        """This command keeps watching for changes (`events -f`)."""
        self.progress: Callable[[str, int, int], None] = _silence
        """Called with the agent whose sessions are being read, how many are done, and of how many."""
        self.notices: list[str] = []
        """What a person should know although nothing failed: an agent's gateway does not answer."""
        self._opened: list[Database] = []

    @staticmethod
    def from_environment(actor: str = "agentctl") -> Runtime:
        """The runtime of this process."""
        paths, environ = Paths.from_environment(os.environ), inherited(os.environ)
        continue_as_owner(paths.state, environ)
        if environ.get(variables.HOME):
            # Programs started from here run elsewhere, where a relative home would be another directory.
            environ[variables.HOME] = paths.state
        return Runtime(paths=paths, environ=environ, actor=actor)

    def another(self) -> Runtime:
        """The same surroundings for another thread: a connection to the state belongs to one."""
        return Runtime(
            paths=self.paths,
            environ=self.environ,
            clock=self.clock,
            interpreter=self.interpreter,
            actor=self.actor,
            delivers=self.delivers,
        )

    @cached_property
    def now(self) -> datetime:
        """The instant of this invocation, so that a whole listing is about the same instant."""
        return self.clock()

    @cached_property
    def settings(self) -> Settings:
        """The configuration, validated. Raises UsageFault if it is invalid."""
        from agentctl.host.config_file import load

        return load(self.paths.config_file, self.environ)

    @property
    def has_own_webhook(self) -> bool:
        """This process's environment names an address or a secret for posts."""
        return any(self.environ.get(name) for name in (variables.WEBHOOK_URL, variables.WEBHOOK_SECRET))

    @cached_property
    def shared_settings(self) -> Settings:
        """The configuration without this process's own webhook: what every process sees."""
        from agentctl.host.config_file import load

        return load(self.paths.config_file, {}) if self.has_own_webhook else self.settings

    @cached_property
    def sound_settings(self) -> Settings | None:
        """The configuration, None while it is invalid: required records are written anyway."""
        from agentctl.errors import AgentctlError

        try:
            return self.settings
        except AgentctlError:
            return None

    @property
    def usual(self) -> Settings:
        """The configuration, or the defaults while it is invalid: for commands that must work anyway."""
        from agentctl.core.settings import Settings

        return self.sound_settings or Settings()

    @cached_property
    def state(self) -> Database:
        """The state for a command that must write; raises StateUnusable where it cannot."""
        from agentctl.store.db import connect

        self.paths.create()
        return self._keep(connect(self.paths.database, busy=REQUIRED, belongings=self.paths.sessions))

    @property
    def only_reads(self) -> bool:
        """This command answers a question: what it records incidentally must not keep it waiting."""
        return "state" not in self.__dict__

    @cached_property
    def readable_state(self) -> Database:
        """The state for a command that answers even where nothing can be written.

        If no state exists yet, an empty one in memory: a question creates no files. Two kinds of
        command do: those that keep watching, and those about agents with sessions of their own,
        because what was read in the agents' stores is cached.
        """
        if "state" in self.__dict__:
            return self.state
        from agentctl.adapters.registry import in_use
        from agentctl.store.db import connect

        makes = self.watches or os.path.lexists(self.paths.database) or bool(in_use(self.environ, {}))
        return self._keep(
            connect(
                self.paths.database,
                busy=REQUIRED,
                read_only_ok=True,
                makes=makes,
                belongings=self.paths.sessions,
            )
        )

    def _keep(self, database: Database) -> Database:
        give_to_owner(self.paths.database)
        self._opened.append(database)
        return database

    def close(self) -> None:
        """Close what was opened."""
        while self._opened:
            self._opened.pop().close()


def _silence(agent: str, done: int, of: int) -> None:
    """Ignore progress: nobody is watching."""
