-- Read models are rebuilt beside the ones that are served: which tables there are of each projection, and which one
-- readers see. Runs as owner; the projector makes the tables and the views over them.

create table read.generations (
    table_name text primary key,
    number bigint generated always as identity,
    projection text not null,
    version integer not null,
    -- building: being filled, seen by nobody; serving: behind the view that readers see; kept: the way back
    state text not null check (state in ('building', 'serving', 'kept')),
    began_at timestamptz not null default clock_timestamp(),
    changed_at timestamptz not null default clock_timestamp(),
    -- of one being filled: events and those folded so far
    events bigint not null default 0,
    folded bigint not null default 0
);
create unique index generations_serving on read.generations (projection) where state = 'serving';
alter table read.generations owner to projector;

comment on column read.checkpoints.projection is 'The name of a table: of one generation of a projection.';

-- Tables from before this migration: the newest version of each projection is served, if its table is there.
insert into read.generations (table_name, projection, version, state)
select t.table_name, t.name, t.version,
       case when row_number() over (partition by t.name order by t.version desc) = 1 then 'serving' else 'kept' end
  from (select c.projection as table_name, substring(c.projection from '^(.*)_v[0-9]+$') as name,
               substring(c.projection from '[0-9]+$')::integer as version
          from read.checkpoints c) t
 where to_regclass('read.' || quote_ident(t.table_name)) is not null;

-- How far what is served of each projection has come.
create view read.serving as
    select g.projection, g.version, g.table_name, c.position, c.advanced_at
      from read.generations g join read.checkpoints c on c.projection = g.table_name
     where g.state = 'serving';
alter view read.serving owner to projector;

grant select on read.generations, read.serving to reader, auditor;

-- At most one row: the line has stopped, since something in the log is not as it must be.
create table read.halts (
    one boolean primary key default true check (one),
    reason text not null,
    halted_at timestamptz not null default clock_timestamp()
);
alter table read.halts owner to projector;
grant select on read.halts to reader, auditor;
