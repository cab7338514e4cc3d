-- Events that ended without success, each with its original record whole. The topic <group>.dead-letters holds the same.

create type record_header as (name text, value bytea);

create table dead_letters (
    id               bigint generated always as identity primary key,
    consumer_group   text collate "C" not null,
    -- coordinates of the record that died: after a replay the retry topic's
    topic            text collate "C" not null,
    partition        integer not null,
    "offset"         bigint not null,
    record_time      timestamptz not null,
    key              bytea,
    -- in the record's order; names repeat, and a value may be null or any bytes
    headers          record_header[] not null,
    value            bytea not null,
    error_type       text not null,
    error_code       text,
    -- without secrets, bodies or personal data
    error_message    text,
    attempts         integer not null check (attempts >= 1),
    first_failed_at  timestamptz not null,
    failed_at        timestamptz not null,
    replayed_at      timestamptz,
    discarded_at     timestamptz,
    unique (consumer_group, topic, partition, "offset")
);

create index dead_letters_open on dead_letters (consumer_group, failed_at)
 where replayed_at is null and discarded_at is null;

-- For one user's history: the key of report webhooks is the user's id.
create index dead_letters_key on dead_letters (key);
