BEGIN TRANSACTION;
CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT;
INSERT INTO "counters" VALUES('sessions_total.failed',3);
CREATE TABLE discovery (
        adapter TEXT NOT NULL,
        path TEXT NOT NULL,
        mtime_ns INTEGER NOT NULL,
        size INTEGER NOT NULL,
        payload TEXT NOT NULL,
        PRIMARY KEY (adapter, path)
    ) STRICT;
INSERT INTO "discovery" VALUES('pi','/home/u/.pi/x.jsonl',1,2,'{}');
CREATE TABLE events (
        cursor INTEGER PRIMARY KEY AUTOINCREMENT,
        type TEXT NOT NULL,
        session_id TEXT,
        at TEXT NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT,
        data TEXT NOT NULL
    ) STRICT;
INSERT INTO "events" VALUES(1,'session.started','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001','2026-11-22T10:00:00.123456Z','launch','r','{"a":1}');
INSERT INTO "events" VALUES(2,'session.stopped','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001','2026-11-22T10:00:00.123456Z','launch','r','{"a":1}');
CREATE TABLE fuses (
        id TEXT PRIMARY KEY NOT NULL,
        deadline TEXT NOT NULL,
        action TEXT NOT NULL,
        created_at TEXT NOT NULL,
        state TEXT NOT NULL,
        session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE,
        directory TEXT,
        warn_at TEXT,
        command TEXT,
        url TEXT,
        revision INTEGER NOT NULL DEFAULT 0
    ) STRICT;
INSERT INTO "fuses" VALUES('fuse-1','2026-11-22T11:00:00.123456Z','script','2026-11-22T10:00:00.123456Z','fired',NULL,'/srv/d','2026-11-22T10:50:00.123456Z','echo ''x''','https://example.org/h',0);
CREATE TABLE locks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        directory TEXT NOT NULL,
        holder TEXT NOT NULL,
        created_at TEXT NOT NULL,
        session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE,
        reason TEXT,
        expires_at TEXT
    ) STRICT;
INSERT INTO "locks" VALUES(1,'/a','s','2026-11-22T10:00:00.123456Z','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001',NULL,NULL);
INSERT INTO "locks" VALUES(2,'/b','ann','2026-11-22T10:00:00.123456Z',NULL,'mine',NULL);
CREATE TABLE outbox (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        target TEXT NOT NULL,
        event_id TEXT NOT NULL,
        payload TEXT NOT NULL,
        created_at TEXT NOT NULL,
        session_id TEXT,
        state TEXT NOT NULL DEFAULT 'pending',
        attempts INTEGER NOT NULL DEFAULT 0,
        next_attempt_at TEXT,
        claimed_until TEXT,
        delivered_at TEXT,
        last_error TEXT,
        output TEXT,
        UNIQUE (event_id, kind, name, target)
    ) STRICT;
INSERT INTO "outbox" VALUES(1,'hook','on_complete','true','e1','{"env":{}}','2026-11-22T10:00:00.123456Z','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001','done',0,NULL,NULL,'2026-11-22T10:00:00.123456Z',NULL,'ok');
INSERT INTO "outbox" VALUES(2,'hook','on_complete','true','e2','{"env":{}}','2026-11-22T10:00:00.123456Z','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001','failed',0,NULL,NULL,NULL,'exit 1','');
CREATE TABLE sessions (
        id TEXT PRIMARY KEY NOT NULL,
        adapter TEXT NOT NULL,
        cwd TEXT NOT NULL,
        status TEXT NOT NULL,
        created_at TEXT NOT NULL,
        name TEXT,
        outcome TEXT,
        reason TEXT,
        exit_code INTEGER,
        signal INTEGER,
        lingering INTEGER NOT NULL DEFAULT 0,
        unsupervised INTEGER NOT NULL DEFAULT 0,
        stop_cause TEXT NOT NULL DEFAULT 'none',
        stop_stage INTEGER NOT NULL DEFAULT 0,
        stop_escalate_at TEXT,
        ladder TEXT NOT NULL,
        pid INTEGER,
        start_token TEXT,
        native_id TEXT,
        parent_id TEXT,
        depth INTEGER NOT NULL DEFAULT 0,
        resumed_from TEXT,
        group_id TEXT,
        branch TEXT,
        repo TEXT,
        base_commit TEXT,
        model TEXT,
        requested_model TEXT,
        prompt TEXT,
        args TEXT NOT NULL DEFAULT '[]',
        env_keys TEXT NOT NULL DEFAULT '[]',
        hooks TEXT NOT NULL DEFAULT '{}',
        meta TEXT NOT NULL DEFAULT '{}',
        started_at TEXT,
        ended_at TEXT,
        tokens_input INTEGER,
        tokens_output INTEGER,
        tokens_cache_read INTEGER,
        tokens_cache_write INTEGER,
        cost_usd REAL,
        turns INTEGER,
        result TEXT,
        notes TEXT NOT NULL DEFAULT '[]',
        store_path TEXT,
        transcript_path TEXT,
        adapter_version TEXT,
        revision INTEGER NOT NULL DEFAULT 0
    , webhook TEXT) STRICT;
INSERT INTO "sessions" VALUES('0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f001','claude-code','/srv/täst dir','error','2026-11-22T10:00:00.123456Z','night run','timed_out','blew its 2 h fuse',143,15,1,1,'fuse',2,'2026-11-22T10:00:05.123456Z','2:1.5 9:5.0',4242,'linux:123:boot:machine:ns','ses_Abc%_*1','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f000',2,'0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f00f','g-0a1b2c','try/g-0a1b2c/a','/home/ann/src/a','0123456789abcdef0123456789abcdef01234567','opus','asked','fix it
	please now ✓','["--flag","two words",""]','["A","B_2"]','{"on_complete":"notify ''x''","on_create":"make"}','{"openclaw_callback_agent_id":"ann"}','2026-11-22T10:00:00.123457Z','2026-11-22T12:00:00.123456Z',1,2,3,1099511627776,0.125,7,'done “well”','["denied: Bash","truncated"]','/home/u/.claude','/home/u/.claude/x.jsonl','2.1.0',0,'https://example.org address=0123');
INSERT INTO "sessions" VALUES('second','claude-code','/srv/täst dir','error','2026-11-22T10:00:00.123456Z',NULL,'timed_out','blew its 2 h fuse',143,15,0,1,'fuse',2,'2026-11-22T10:00:05.123456Z','2:1.5 9:5.0',4242,'linux:123:boot:machine:ns','ses_Abc%_*1','0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f000',2,'0b5a1f6e-3c1d-4f6a-9a55-6f3a55b6f00f','g-0a1b2c','try/g-0a1b2c/a','/home/ann/src/a','0123456789abcdef0123456789abcdef01234567','opus','asked','fix it
	please now ✓','["--flag","two words",""]','["A","B_2"]','{"on_complete":"notify ''x''","on_create":"make"}','{"openclaw_callback_agent_id":"ann"}','2026-11-22T10:00:00.123457Z','2026-11-22T12:00:00.123456Z',1,2,3,1099511627776,0.125,7,'done “well”','["denied: Bash","truncated"]','/home/u/.claude','/home/u/.claude/x.jsonl','2.1.0',0,'https://example.org address=0123');
CREATE TABLE sweeps (
            session_id TEXT PRIMARY KEY NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            targets TEXT NOT NULL,
            kill_at TEXT,
            term_at TEXT,
            done_at TEXT,
            ended TEXT NOT NULL DEFAULT '[]',
            survivors TEXT NOT NULL DEFAULT '[]'
        ) STRICT;
CREATE INDEX sessions_unsettled ON sessions (created_at) WHERE (status NOT IN ('stopped', 'error') OR lingering = 1);
CREATE INDEX sessions_ended ON sessions (ended_at) WHERE (status IN ('stopped', 'error') AND lingering = 0);
CREATE INDEX sessions_created ON sessions (created_at);
CREATE INDEX sessions_native ON sessions (native_id, adapter) WHERE native_id IS NOT NULL;
CREATE INDEX sessions_name ON sessions (name) WHERE name IS NOT NULL;
CREATE INDEX sessions_group ON sessions (group_id) WHERE group_id IS NOT NULL;
CREATE INDEX sessions_repo ON sessions (repo) WHERE repo IS NOT NULL;
CREATE INDEX sessions_parent ON sessions (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX fuses_armed ON fuses (deadline) WHERE state = 'armed';
CREATE INDEX fuses_session ON fuses (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX locks_directory ON locks (directory);
CREATE INDEX locks_session ON locks (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX events_session ON events (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX events_at ON events (at);
CREATE INDEX outbox_pending ON outbox (id) WHERE state = 'pending';
CREATE INDEX outbox_session ON outbox (session_id) WHERE session_id IS NOT NULL;
CREATE INDEX outbox_waiting ON outbox (id) WHERE state = 'waiting';
CREATE INDEX sweeps_pending ON sweeps (session_id) WHERE (kill_at IS NOT NULL AND done_at IS NULL);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('locks',2);
INSERT INTO "sqlite_sequence" VALUES('events',2);
INSERT INTO "sqlite_sequence" VALUES('outbox',2);
COMMIT;
PRAGMA user_version = 3;
