-- Shared kernel: divisions, people who log in, audit chain, outbox, scheduled jobs.

-- GB/T 2260 administrative divisions (five levels), valid from/to so that old codes stay readable.
CREATE TABLE division (
    code        text PRIMARY KEY CHECK (code ~ '^[0-9]{12}$'),
    name        text NOT NULL,
    level       smallint NOT NULL CHECK (level BETWEEN 1 AND 5),
    parent      text,
    valid_from  date,
    valid_to    date,
    source      text NOT NULL DEFAULT 'import' CHECK (source IN ('bundled', 'import'))
);
CREATE INDEX division_parent ON division (parent);

-- A person who logs in. `division` is the significant prefix of the rows that the person may see.
CREATE TABLE user_account (
    id             uuid PRIMARY KEY,
    username       text NOT NULL,
    display_name   text NOT NULL,
    password_hash  text NOT NULL,
    roles          text[] NOT NULL CHECK (cardinality(roles) > 0),
    division       text NOT NULL CHECK (division ~ '^[0-9]{0,12}$'),
    locale         text NOT NULL DEFAULT 'zh' CHECK (locale IN ('zh', 'en')),
    theme          text NOT NULL DEFAULT 'auto' CHECK (theme IN ('auto', 'light', 'dark')),
    text_size      text NOT NULL DEFAULT 'normal' CHECK (text_size IN ('normal', 'medium', 'large')),
    on_duty        boolean NOT NULL DEFAULT false,
    must_change_password boolean NOT NULL DEFAULT false,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL,
    last_login_at  timestamptz,
    version        integer NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX user_account_username ON user_account (lower(username));
CREATE INDEX user_account_division ON user_account (division text_pattern_ops);

-- Server-side sessions; only the SHA-256 of the cookie's token is kept.
CREATE TABLE user_session (
    token_hash    bytea PRIMARY KEY,
    user_id       uuid NOT NULL REFERENCES user_account (id) ON DELETE CASCADE,
    csrf_token    text NOT NULL,
    created_at    timestamptz NOT NULL,
    last_seen_at  timestamptz NOT NULL,
    expires_at    timestamptz NOT NULL,
    client_ip     inet,
    user_agent    text NOT NULL DEFAULT ''
);
CREATE INDEX user_session_user ON user_session (user_id);
CREATE INDEX user_session_expires ON user_session (expires_at);

-- Attempts to log in, for the rate limit by address (IPv6: its /64 network). Without the name: people
-- type their password into the wrong field.
CREATE TABLE login_attempt (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    client_ip  inet NOT NULL,
    succeeded  boolean NOT NULL
);
CREATE INDEX login_attempt_ip ON login_attempt (client_ip, at);
CREATE INDEX login_attempt_at ON login_attempt (at);

-- Failures in a row by lower-case name, known or not: a lock-out must not tell which names exist.
CREATE TABLE login_lock (
    username         text PRIMARY KEY,
    failures         integer NOT NULL,
    last_attempt_at  timestamptz NOT NULL,
    locked_until     timestamptz
);
CREATE INDEX login_lock_at ON login_lock (last_attempt_at);

-- Hash-chained audit log (kernel/audit.py). `detail` is json and not jsonb: its text is part of the
-- hash and must come back byte for byte. `seq` has no gaps: it is taken under the head's row lock.
CREATE TABLE audit_log (
    seq           bigint PRIMARY KEY CHECK (seq > 0),
    at            timestamptz NOT NULL,
    actor_id      uuid,
    actor_name    text NOT NULL,
    action        text COLLATE "C" NOT NULL,
    subject_type  text NOT NULL,
    subject_id    text NOT NULL,
    division      text NOT NULL DEFAULT '',
    detail        json NOT NULL DEFAULT '{}',
    prev_hash     bytea NOT NULL,
    hash          bytea NOT NULL
);
CREATE INDEX audit_log_subject ON audit_log (subject_type, subject_id, seq DESC);
CREATE INDEX audit_log_actor ON audit_log (actor_id, seq DESC);
CREATE INDEX audit_log_action ON audit_log (action, seq DESC);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE TABLE audit_head (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq       bigint NOT NULL,
    hash      bytea NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

-- What a transaction has to say; chained by the deferred trigger when the transaction commits.
CREATE TABLE audit_pending (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at            timestamptz NOT NULL,
    actor_id      uuid,
    actor_name    text NOT NULL,
    action        text NOT NULL,
    subject_type  text NOT NULL,
    subject_id    text NOT NULL,
    division      text NOT NULL,
    detail        json NOT NULL,
    content_hash  bytea NOT NULL
);

-- Deferred to the commit: the head's lock is then the last that a transaction takes, so it is held
-- for one commit only and can never be half of a deadlock.
CREATE FUNCTION audit_chain() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    head audit_head;
    chained bytea;
BEGIN
    SELECT * INTO STRICT head FROM audit_head FOR UPDATE;
    chained := sha256(head.hash || int8send(head.seq + 1) || NEW.content_hash);
    INSERT INTO audit_log (seq, at, actor_id, actor_name, action, subject_type, subject_id,
                           division, detail, prev_hash, hash)
    VALUES (head.seq + 1, NEW.at, NEW.actor_id, NEW.actor_name, NEW.action, NEW.subject_type,
            NEW.subject_id, NEW.division, NEW.detail, head.hash, chained);
    UPDATE audit_head SET seq = head.seq + 1, hash = chained;
    DELETE FROM audit_pending WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER audit_pending_chain AFTER INSERT ON audit_pending
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit_chain();

CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_head_kept BEFORE DELETE ON audit_head
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();

-- Effects that leave the system. Workers take rows WHERE done_at IS NULL AND dead_at IS NULL,
-- never "id > last": transactions commit out of order.
CREATE TABLE outbox (
    id             uuid PRIMARY KEY,
    topic          text NOT NULL,
    key            text,
    payload        jsonb NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    available_at   timestamptz NOT NULL DEFAULT now(),
    attempts       integer NOT NULL DEFAULT 0,
    claimed_by     text,
    claimed_until  timestamptz,
    done_at        timestamptz,
    dead_at        timestamptz,
    last_error     text
);
CREATE INDEX outbox_due ON outbox (available_at) WHERE done_at IS NULL AND dead_at IS NULL;
CREATE UNIQUE INDEX outbox_key ON outbox (topic, key) WHERE key IS NOT NULL;
CREATE INDEX outbox_done ON outbox (done_at) WHERE done_at IS NOT NULL;

-- Runs of scheduled jobs: the scheduler only inserts due runs, exactly one for each (job, due_at).
CREATE TABLE job_run (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job          text NOT NULL,
    due_at       timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz,
    error        text,
    UNIQUE (job, due_at)
);
CREATE INDEX job_run_open ON job_run (due_at) WHERE finished_at IS NULL;
