-- The least time between the confirmation of a destruction and its carrying out, whatever whoever confirms asks for. One
-- row; the owner alone changes it. Runs as owner.

create table log.custody_rules (
    only_row boolean primary key default true check (only_row),
    least_delay interval not null default '0' check (least_delay >= '0')
);
insert into log.custody_rules default values;
grant select on log.custody_rules to custodian, auditor;
