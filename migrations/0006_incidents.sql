-- Incidents: one a kind and elder at a time, each further activation a child, everything on a timeline.

CREATE TABLE responder (
    id             uuid PRIMARY KEY,
    user_id        uuid REFERENCES user_account (id),
    name           text NOT NULL,
    phone_enc      bytea NOT NULL,
    phone_index    bytea NOT NULL,
    skills         text[] NOT NULL DEFAULT '{}',
    division_code  text NOT NULL CHECK (division_code ~ '^[0-9]{12}$'),
    station        text NOT NULL DEFAULT '',
    lat            double precision,
    lon            double precision,
    fix_at         timestamptz,
    on_duty        boolean NOT NULL DEFAULT false,
    disabled_at    timestamptz,
    created_at     timestamptz NOT NULL
);
CREATE INDEX responder_division ON responder (division_code text_pattern_ops) WHERE disabled_at IS NULL;

-- Escalation policies by division prefix; the longest prefix wins; copied onto each incident.
CREATE TABLE escalation_policy (
    id          uuid PRIMARY KEY,
    division    text NOT NULL CHECK (division ~ '^[0-9]{0,12}$'),
    severity    text NOT NULL,
    steps       jsonb NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE (division, severity)
);

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
    activation_count  integer NOT NULL DEFAULT 1,
    opened_at         timestamptz NOT NULL,
    last_activation_at timestamptz NOT NULL,
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
    escalation_level  smallint NOT NULL DEFAULT 0,
    version           integer NOT NULL DEFAULT 1,
    CHECK ((status = 'resolved') = (resolved_at IS NOT NULL AND resolution IS NOT NULL)),
    CHECK (status IN ('open', 'resolved') OR acknowledged_by IS NOT NULL),
    CHECK (elder_id IS NOT NULL OR device_no IS NOT NULL)
);
CREATE UNIQUE INDEX incident_one_open_elder ON incident (elder_id, kind)
    WHERE status <> 'resolved' AND elder_id IS NOT NULL;
CREATE UNIQUE INDEX incident_one_open_device ON incident (device_no, kind)
    WHERE status <> 'resolved' AND elder_id IS NULL;
CREATE INDEX incident_queue ON incident (division_code text_pattern_ops) WHERE status <> 'resolved';
CREATE INDEX incident_elder ON incident (elder_id, opened_at DESC);
CREATE INDEX incident_opened ON incident (opened_at DESC);

-- Each time the alarm fired. A second press while the incident is open is a row here and rings again.
CREATE TABLE incident_activation (
    id           uuid PRIMARY KEY,
    incident_id  uuid NOT NULL REFERENCES incident (id),
    alarm_id     uuid NOT NULL UNIQUE REFERENCES alarm (id),
    at           timestamptz NOT NULL,
    device_no    bigint REFERENCES device (no)
);
CREATE INDEX incident_activation_incident ON incident_activation (incident_id, at);

CREATE TABLE incident_event (
    id           uuid PRIMARY KEY,
    incident_id  uuid NOT NULL REFERENCES incident (id),
    at           timestamptz NOT NULL,
    actor_id     uuid REFERENCES user_account (id),
    actor_name   text NOT NULL,
    kind         text NOT NULL,
    data         jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX incident_event_incident ON incident_event (incident_id, at, id);

-- What must happen by when; survives kill -9 because it is here and not in a timer.
CREATE TABLE incident_deadline (
    id           uuid PRIMARY KEY,
    incident_id  uuid NOT NULL REFERENCES incident (id),
    kind         text NOT NULL,
    step         smallint NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL,
    data         jsonb NOT NULL DEFAULT '{}',
    done_at      timestamptz,
    cancelled_at timestamptz
);
CREATE INDEX incident_deadline_due ON incident_deadline (due_at)
    WHERE done_at IS NULL AND cancelled_at IS NULL;
CREATE INDEX incident_deadline_incident ON incident_deadline (incident_id);

CREATE TABLE dispatch (
    id            uuid PRIMARY KEY,
    incident_id   uuid NOT NULL REFERENCES incident (id),
    responder_id  uuid NOT NULL REFERENCES responder (id),
    status        text NOT NULL
        CHECK (status IN ('notified', 'accepted', 'en_route', 'on_scene', 'completed', 'declined', 'withdrawn')),
    token_hash    bytea NOT NULL UNIQUE,
    token_expires_at timestamptz NOT NULL,
    dispatched_by uuid REFERENCES user_account (id),
    notified_at   timestamptz NOT NULL,
    accepted_at   timestamptz,
    en_route_at   timestamptz,
    on_scene_at   timestamptz,
    completed_at  timestamptz,
    declined_at   timestamptz,
    decline_reason text,
    version       integer NOT NULL DEFAULT 1
);
CREATE INDEX dispatch_incident ON dispatch (incident_id);
CREATE UNIQUE INDEX dispatch_one_open ON dispatch (incident_id, responder_id)
    WHERE status NOT IN ('completed', 'declined', 'withdrawn');

-- Photos a responder took; bounded in size, encrypted at rest.
CREATE TABLE dispatch_photo (
    id           uuid PRIMARY KEY,
    dispatch_id  uuid NOT NULL REFERENCES dispatch (id),
    at           timestamptz NOT NULL,
    content_type text NOT NULL CHECK (content_type IN ('image/jpeg', 'image/png', 'image/webp')),
    image_enc    bytea NOT NULL
);

-- Calls and texts that went out through the Carrier port.
CREATE TABLE contact_attempt (
    id            uuid PRIMARY KEY,
    incident_id   uuid REFERENCES incident (id),
    channel       text NOT NULL CHECK (channel IN ('call', 'sms')),
    purpose       text NOT NULL,
    to_name       text NOT NULL,
    to_enc        bytea NOT NULL,
    contact_id    uuid,
    body_enc      bytea,
    status        text NOT NULL CHECK (status IN
        ('queued', 'ringing', 'in_progress', 'sent', 'delivered', 'completed', 'no_answer', 'busy', 'failed')),
    carrier_id    text UNIQUE,
    digits        text,
    created_at    timestamptz NOT NULL,
    answered_at   timestamptz,
    ended_at      timestamptz,
    created_by    uuid REFERENCES user_account (id),
    error         text
);
CREATE INDEX contact_attempt_incident ON contact_attempt (incident_id, created_at);
