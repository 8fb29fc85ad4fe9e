-- The role of the process that carries out what two people have agreed on. It can ask for nothing and confirm nothing, so
-- that whoever has it cannot be both of them. Role shredder, new with this migration, comes from 0000_roles. Runs as owner.

grant usage on schema log to shredder;
grant select on log.events, log.keys, log.monthly_keys, log.receipts, log.raw_messages, log.merges, log.epoch,
    log.destructions to shredder;
