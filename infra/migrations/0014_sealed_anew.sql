-- Bytes that came under a month's key, and became one patient's when the message was taken up again, are sealed anew under
-- the patient's key. Copies from before stand in backups: the month's keys that open them end with the patient's
-- (docs/decisions/0029-sealed-anew-when-taken-up-again.md). Runs as owner.

-- Keys of months under which these bytes stood before.
alter table log.raw_messages add column stood_under uuid[];
