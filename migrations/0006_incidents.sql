-- Incidents: one a kind and elder at a time, each further activation a child, everything on a timeline.
-- Lock order, the same for everybody: incident, then its deadlines, dispatches and attempts.

CREATE TABLE responder (
    id             uuid PRIMARY KEY,
    user_id        uuid REFERENCES user_account (id),
    name           text NOT NULL CHECK (name <> ''),
    phone_enc      bytea NOT NULL,
    phone_index    bytea NOT NULL,
    skills         text[] NOT NULL DEFAULT '{}',
    division_code  text NOT NULL CHECK (division_code ~ '^[0-9]{12}$'),
    station        text NOT NULL DEFAULT '',
    lat            double precision CHECK (lat BETWEEN -90 AND 90),
    lon            double precision CHECK (lon BETWEEN -180 AND 180),
    accuracy_m     double precision,
    fix_at         timestamptz,
    on_duty        boolean NOT NULL DEFAULT false,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL,
    CHECK ((lat IS NULL) = (lon IS NULL) AND (lat IS NULL) = (fix_at IS NULL))
);
CREATE INDEX responder_division ON responder (division_code text_pattern_ops) WHERE disabled_at IS NULL;
CREATE INDEX responder_phone ON responder (phone_index);

-- Whom to call when nobody takes an incident, in order; the longest division prefix wins. With
-- `user_id`, key 1 claims the incident for that person.
CREATE TABLE duty_phone (
    id           uuid PRIMARY KEY,
    division     text NOT NULL CHECK (division ~ '^[0-9]{0,12}$'),
    position     smallint NOT NULL,
    name         text NOT NULL,
    phone_enc    bytea NOT NULL,
    phone_index  bytea NOT NULL,
    user_id      uuid REFERENCES user_account (id),
    UNIQUE (division, position)
);

-- Escalation policies by division prefix; the longest prefix wins; copied onto each incident.
-- The shape of `policy` is hotline/incidents/rules.py.
CREATE TABLE escalation_policy (
    id          uuid PRIMARY KEY,
    division    text NOT NULL CHECK (division ~ '^[0-9]{0,12}$'),
    severity    text NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'technical')),
    policy      jsonb NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE (division, severity)
);

-- `version` counts changes of the lifecycle only: a further press must not make the operator who is
-- about to claim lose against nobody.
CREATE SEQUENCE incident_number;
CREATE TABLE incident (
    id                uuid PRIMARY KEY,
    number            bigint NOT NULL UNIQUE DEFAULT nextval('incident_number'),
    elder_id          uuid REFERENCES elder (id),
    device_no         bigint REFERENCES device (no),
    kind              text NOT NULL,
    severity          text NOT NULL CHECK (severity IN ('critical', 'major', 'minor', 'technical')),
    status            text NOT NULL
        CHECK (status IN ('open', 'acknowledged', 'dispatched', 'on_scene', 'resolved')),
    condition_active  boolean NOT NULL DEFAULT true,
    test              boolean NOT NULL DEFAULT false,
    division_code     text NOT NULL CHECK (division_code ~ '^[0-9]{12}$'),
    lat               double precision,
    lon               double precision,
    position_at       timestamptz,
    position_accuracy_m double precision,
    activation_count  integer NOT NULL DEFAULT 1 CHECK (activation_count > 0),
    opened_at         timestamptz NOT NULL,
    last_activation_at timestamptz NOT NULL,
    first_acknowledged_at timestamptz,
    acknowledged_at   timestamptz,
    acknowledged_by   uuid REFERENCES user_account (id),
    dispatched_at     timestamptz,
    on_scene_at       timestamptz,
    resolved_at       timestamptz,
    resolved_by       uuid REFERENCES user_account (id),
    resolution        text CHECK (resolution IN ('founded', 'unfounded', 'cancelled', 'test')),
    resolution_reason text,
    reopened_count    integer NOT NULL DEFAULT 0,
    escalation_policy jsonb NOT NULL,
    escalation_level  smallint NOT NULL DEFAULT 0 CHECK (escalation_level >= 0),
    version           integer NOT NULL DEFAULT 1,
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CHECK ((status = 'resolved') = (resolution IS NOT NULL)),
    CHECK ((status = 'resolved') = (resolved_by IS NOT NULL)),
    CHECK ((status = 'resolved') = (resolution_reason IS NOT NULL)),
    CHECK (status IN ('open', 'resolved') OR acknowledged_by IS NOT NULL),
    CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL)),
    CHECK (acknowledged_at IS NULL OR first_acknowledged_at IS NOT NULL),
    CHECK (status <> 'open' OR acknowledged_by IS NULL),
    CHECK (status <> 'dispatched' OR dispatched_at IS NOT NULL),
    CHECK (status <> 'on_scene' OR on_scene_at IS NOT NULL),
    CHECK (elder_id IS NOT NULL OR device_no IS NOT NULL)
);
CREATE UNIQUE INDEX incident_one_open_elder ON incident (elder_id, kind)
    WHERE status <> 'resolved' AND elder_id IS NOT NULL;
CREATE UNIQUE INDEX incident_one_open_device ON incident (device_no, kind)
    WHERE status <> 'resolved' AND elder_id IS NULL;
CREATE INDEX incident_queue ON incident (division_code text_pattern_ops) WHERE status <> 'resolved';
CREATE INDEX incident_elder ON incident (elder_id, opened_at DESC);
CREATE INDEX incident_device ON incident (device_no, opened_at DESC);
CREATE INDEX incident_opened ON incident (opened_at DESC);

-- Each time the alarm fired. A second press while the incident is open is a row here and rings again.
-- `cleared_at`: the device that fired says that its condition is over.
CREATE TABLE incident_activation (
    id           uuid PRIMARY KEY,
    incident_id  uuid NOT NULL REFERENCES incident (id),
    alarm_id     uuid NOT NULL UNIQUE REFERENCES alarm (id),
    at           timestamptz NOT NULL,
    device_no    bigint REFERENCES device (no),
    cleared_at   timestamptz
);
CREATE INDEX incident_activation_incident ON incident_activation (incident_id, at);

-- The timeline. `seq` orders it: events of one incident's lifecycle are written under its row lock.
CREATE TABLE incident_event (
    id           uuid PRIMARY KEY,
    seq          bigint GENERATED ALWAYS AS IDENTITY,
    incident_id  uuid NOT NULL REFERENCES incident (id),
    at           timestamptz NOT NULL,
    actor_id     uuid REFERENCES user_account (id),
    actor_name   text NOT NULL,
    kind         text NOT NULL,
    data         jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX incident_event_incident ON incident_event (incident_id, seq);

-- What must happen by when; survives kill -9 because it is here and not in a timer.
CREATE TABLE incident_deadline (
    id           uuid PRIMARY KEY,
    incident_id  uuid NOT NULL REFERENCES incident (id),
    kind         text NOT NULL
        CHECK (kind IN ('escalate', 'time_in_status', 'dispatch_answer', 'call_answer')),
    step         smallint NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL,
    data         jsonb NOT NULL DEFAULT '{}',
    done_at      timestamptz,
    cancelled_at timestamptz,
    attempts     smallint NOT NULL DEFAULT 0,
    error        text,
    CHECK (done_at IS NULL OR cancelled_at IS NULL)
);
CREATE INDEX incident_deadline_due ON incident_deadline (due_at)
    WHERE done_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX incident_deadline_incident ON incident_deadline (incident_id);

-- A responder on the way to an incident. Of the link's token only the SHA-256 is kept.
CREATE TABLE dispatch (
    id            uuid PRIMARY KEY,
    incident_id   uuid NOT NULL REFERENCES incident (id),
    responder_id  uuid NOT NULL REFERENCES responder (id),
    status        text NOT NULL CHECK (status IN
        ('notified', 'accepted', 'en_route', 'on_scene', 'completed', 'declined', 'withdrawn')),
    token_hash    bytea NOT NULL UNIQUE CHECK (octet_length(token_hash) = 32),
    token_expires_at timestamptz NOT NULL,
    dispatched_by uuid REFERENCES user_account (id),
    notified_at   timestamptz NOT NULL,
    accepted_at   timestamptz,
    en_route_at   timestamptz,
    on_scene_at   timestamptz,
    completed_at  timestamptz,
    declined_at   timestamptz,
    decline_reason text,
    withdrawn_at  timestamptz,
    version       integer NOT NULL DEFAULT 1,
    CHECK (status NOT IN ('accepted', 'en_route', 'on_scene', 'completed') OR accepted_at IS NOT NULL),
    CHECK (status NOT IN ('on_scene', 'completed') OR on_scene_at IS NOT NULL),
    CHECK ((status = 'completed') = (completed_at IS NOT NULL)),
    CHECK ((status = 'declined') = (declined_at IS NOT NULL)),
    CHECK ((status = 'withdrawn') = (withdrawn_at IS NOT NULL))
);
CREATE INDEX dispatch_incident ON dispatch (incident_id);
CREATE INDEX dispatch_responder ON dispatch (responder_id)
    WHERE status NOT IN ('completed', 'declined', 'withdrawn');
CREATE UNIQUE INDEX dispatch_one_open ON dispatch (incident_id, responder_id)
    WHERE status NOT IN ('completed', 'declined', 'withdrawn');

-- Photos a responder took; bounded in size, without their metadata, encrypted at rest. `digest` of
-- the uploaded bytes makes a repeated upload one photo.
CREATE TABLE dispatch_photo (
    id           uuid PRIMARY KEY,
    dispatch_id  uuid NOT NULL REFERENCES dispatch (id),
    at           timestamptz NOT NULL,
    content_type text NOT NULL CHECK (content_type IN ('image/jpeg', 'image/png', 'image/webp')),
    size         integer NOT NULL,
    digest       bytea NOT NULL,
    image_enc    bytea NOT NULL,
    UNIQUE (dispatch_id, digest)
);

-- Calls and texts that went out through the Carrier port; the id is the reference that we give it.
CREATE TABLE contact_attempt (
    id            uuid PRIMARY KEY,
    incident_id   uuid REFERENCES incident (id),
    channel       text NOT NULL CHECK (channel IN ('call', 'sms')),
    purpose       text NOT NULL
        CHECK (purpose IN ('elder', 'contact', 'chain', 'duty', 'dispatch', 'stand_down')),
    to_name       text NOT NULL,
    to_enc        bytea NOT NULL,
    contact_id    uuid,
    dispatch_id   uuid REFERENCES dispatch (id),
    duty_phone_id uuid REFERENCES duty_phone (id) ON DELETE SET NULL,
    position      smallint,
    body_enc      bytea,
    status        text NOT NULL CHECK (status IN
        ('queued', 'ringing', 'in_progress', 'sent', 'delivered', 'completed', 'no_answer', 'busy', 'failed')),
    carrier_id    text UNIQUE,
    digits        text,
    created_at    timestamptz NOT NULL,
    answered_at   timestamptz,
    ended_at      timestamptz,
    created_by    uuid REFERENCES user_account (id),
    error         text,
    CHECK ((status IN ('delivered', 'completed', 'no_answer', 'busy', 'failed')) = (ended_at IS NOT NULL))
);
CREATE INDEX contact_attempt_incident ON contact_attempt (incident_id, created_at);
CREATE INDEX contact_attempt_dispatch ON contact_attempt (dispatch_id) WHERE dispatch_id IS NOT NULL;
