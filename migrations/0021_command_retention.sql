-- Settled commands are forgotten after their time (devices/commands/jobs.py): found by when they were
-- settled; how far a device was with a firmware outlives the command that offered it.

CREATE INDEX device_command_settled ON device_command (settled_at) WHERE settled_at IS NOT NULL;

ALTER TABLE firmware_update
    DROP CONSTRAINT firmware_update_command_id_fkey,
    ADD CONSTRAINT firmware_update_command_id_fkey
        FOREIGN KEY (command_id) REFERENCES device_command (id) ON DELETE SET NULL;
