-- Shared kernel: divisions, people who log in, audit chain, outbox, scheduled jobs.

-- GB/T 2260 administrative divisions (five levels), valid from/to so that old codes stay readable.
CREATE TABLE division (
    code        text PRIMARY KEY CHECK (code ~ '^[0-9]{12}$'),
    name        text NOT NULL,
    level       smallint NOT NULL CHECK (level BETWEEN 1 AND 5),
    parent      text,
    valid_from  date,
    valid_to    date
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
    text_size      text NOT NULL DEFAULT 'normal' CHECK (text_size IN ('normal', 'large')),
    on_duty        boolean NOT NULL DEFAULT false,
    failed_logins  integer NOT NULL DEFAULT 0,
    locked_until   timestamptz,
    must_change_password boolean NOT NULL DEFAULT false,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL,
    version        integer NOT NULL DEFAULT 1
);
CREATE UNIQUE INDEX user_account_username ON user_account (lower(username));

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

-- Attempts to log in, for the rate limit by address and by name.
CREATE TABLE login_attempt (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL,
    username   text NOT NULL,
    client_ip  inet NOT NULL,
    succeeded  boolean NOT NULL
);
CREATE INDEX login_attempt_ip ON login_attempt (client_ip, at);
CREATE INDEX login_attempt_at ON login_attempt (at);

-- Hash-chained audit log. `seq` has no gaps: it is taken under the head's row lock.
CREATE TABLE audit_log (
    seq           bigint PRIMARY KEY,
    at            timestamptz NOT NULL,
    actor_id      uuid,
    actor_name    text NOT NULL,
    action        text NOT NULL,
    subject_type  text NOT NULL,
    subject_id    text NOT NULL,
    division      text NOT NULL DEFAULT '',
    detail        jsonb NOT NULL DEFAULT '{}',
    prev_hash     bytea NOT NULL,
    hash          bytea NOT NULL
);
CREATE INDEX audit_log_subject ON audit_log (subject_type, subject_id, seq DESC);
CREATE INDEX audit_log_actor ON audit_log (actor_id, seq DESC);
CREATE TABLE audit_head (
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq       bigint NOT NULL,
    hash      bytea NOT NULL
);
INSERT INTO audit_head (seq, hash) VALUES (0, decode(repeat('00', 32), 'hex'));

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
