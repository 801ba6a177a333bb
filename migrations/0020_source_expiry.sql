-- The token of a system that reads personal data ends by itself; NULL is until it is revoked.

ALTER TABLE ingest_source ADD COLUMN expires_at timestamptz CHECK (expires_at > created_at);
