-- The elder: person, home, contacts, consents, own thresholds and watch rules.
-- *_enc are AES-256-GCM boxes (kernel/crypto.py), *_index are HMAC blind indexes for look-up.

-- A file of elders between its preview and its confirmation. The file and the report hold personal
-- data: both are encrypted, and the file is gone once it was imported, dropped or has expired.
CREATE TABLE elder_import (
    id           uuid PRIMARY KEY,
    created_at   timestamptz NOT NULL,
    created_by   uuid NOT NULL REFERENCES user_account (id),
    filename     text NOT NULL,
    file_enc     bytea,
    report_enc   bytea NOT NULL,
    rows_total   integer NOT NULL,
    rows_wrong   integer NOT NULL,
    state        text NOT NULL CHECK (state IN ('previewed', 'imported', 'dropped', 'expired')),
    settled_at   timestamptz,
    CHECK ((state = 'previewed') = (settled_at IS NULL))
);
CREATE INDEX elder_import_creator ON elder_import (created_by, created_at DESC);
CREATE INDEX elder_import_waiting ON elder_import (created_at) WHERE state = 'previewed';

-- `pinyin` and `pinyin_initials` hold every reading from every syllable on, separated by spaces
-- ("lixiuying xiuying ying"), so that a search from any syllable is a search from a word's start.
CREATE TABLE elder (
    id                uuid PRIMARY KEY,
    name              text NOT NULL CHECK (name <> ''),
    pinyin            text NOT NULL DEFAULT '',
    pinyin_initials   text NOT NULL DEFAULT '',
    sex               text NOT NULL CHECK (sex IN ('male', 'female', 'unknown')),
    birth_date        date,
    id_number_enc     bytea,
    id_number_index   bytea,
    division_code     text NOT NULL CHECK (division_code ~ '^[0-9]{12}$'),
    address_enc       bytea,
    lat               double precision CHECK (lat BETWEEN -90 AND 90),
    lon               double precision CHECK (lon BETWEEN -180 AND 180),
    living_situation  text NOT NULL DEFAULT 'unknown'
        CHECK (living_situation IN ('alone', 'couple', 'with_family', 'with_carer', 'institution', 'unknown')),
    risk_notes        text NOT NULL DEFAULT '',
    medical_enc       bytea,
    languages         text[] NOT NULL DEFAULT '{}',
    access_enc        bytea,
    created_at        timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL,
    updated_by        uuid REFERENCES user_account (id),
    import_id         uuid REFERENCES elder_import (id),
    archived_at       timestamptz,
    version           integer NOT NULL DEFAULT 1,
    CHECK ((lat IS NULL) = (lon IS NULL))
);
CREATE UNIQUE INDEX elder_id_number ON elder (id_number_index) WHERE id_number_index IS NOT NULL;
CREATE INDEX elder_division ON elder (division_code text_pattern_ops);
CREATE INDEX elder_name ON elder (name text_pattern_ops);
CREATE INDEX elder_initials ON elder (pinyin_initials text_pattern_ops);
CREATE INDEX elder_pinyin ON elder (pinyin text_pattern_ops);

CREATE TABLE elder_phone (
    id           uuid PRIMARY KEY,
    elder_id     uuid NOT NULL REFERENCES elder (id) ON DELETE CASCADE,
    position     smallint NOT NULL,
    label        text NOT NULL DEFAULT '',
    phone_enc    bytea NOT NULL,
    phone_index  bytea NOT NULL,
    UNIQUE (elder_id, position) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX elder_phone_index ON elder_phone (phone_index);

-- Emergency contacts in the order in which they are called.
CREATE TABLE elder_contact (
    id           uuid PRIMARY KEY,
    elder_id     uuid NOT NULL REFERENCES elder (id) ON DELETE CASCADE,
    position     smallint NOT NULL,
    name         text NOT NULL,
    relation     text NOT NULL,
    phone_enc    bytea NOT NULL,
    phone_index  bytea NOT NULL,
    has_key      boolean NOT NULL DEFAULT false,
    notes        text NOT NULL DEFAULT '',
    UNIQUE (elder_id, position) DEFERRABLE INITIALLY DEFERRED
);
CREATE INDEX elder_contact_phone ON elder_contact (phone_index);

CREATE TABLE elder_consent (
    id            uuid PRIMARY KEY,
    elder_id      uuid NOT NULL REFERENCES elder (id) ON DELETE CASCADE,
    purpose       text NOT NULL,
    text_version  text NOT NULL,
    given_by      text NOT NULL,
    given_at      timestamptz NOT NULL,
    withdrawn_at  timestamptz,
    recorded_by   uuid REFERENCES user_account (id)
);
CREATE INDEX elder_consent_elder ON elder_consent (elder_id, purpose);

-- The elder's own limits; a metric without a row uses the defaults of ingest/detection.
CREATE TABLE elder_threshold (
    elder_id       uuid NOT NULL REFERENCES elder (id) ON DELETE CASCADE,
    metric         text NOT NULL,
    low_critical   double precision,
    low_major      double precision,
    high_major     double precision,
    high_critical  double precision,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (elder_id, metric)
);

-- How an elder is watched over at home; NULL means the default of ingest/detection.
CREATE TABLE elder_watch (
    elder_id              uuid PRIMARY KEY REFERENCES elder (id) ON DELETE CASCADE,
    inactivity_day_min    integer CHECK (inactivity_day_min > 0),
    inactivity_night_min  integer CHECK (inactivity_night_min > 0),
    door_open_major_min   integer CHECK (door_open_major_min > 0),
    door_open_critical_min integer CHECK (door_open_critical_min > 0),
    fence_lat             double precision,
    fence_lon             double precision,
    fence_radius_m        double precision CHECK (fence_radius_m > 0),
    away_until            timestamptz,
    updated_at            timestamptz NOT NULL
);

-- Things written on the elder's own timeline that are not incidents, calls or devices.
CREATE TABLE elder_note (
    id         uuid PRIMARY KEY,
    elder_id   uuid NOT NULL REFERENCES elder (id) ON DELETE CASCADE,
    at         timestamptz NOT NULL,
    author_id  uuid REFERENCES user_account (id),
    text       text NOT NULL
);
CREATE INDEX elder_note_elder ON elder_note (elder_id, at DESC);
