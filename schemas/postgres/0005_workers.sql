-- One row for each running process, written by itself every 5 seconds: what `checkctl status` shows.

create table workers (
    -- made anew at each start
    id                 text primary key,
    consumer_group     text not null,
    host               text not null,
    process_id         integer not null,
    version            text not null,
    started_at         timestamptz not null,
    -- by the server's clock, as are comparisons with it
    heartbeat_at       timestamptz not null,
    -- topic:partition
    assignment         text[] not null,
    in_flight          integer not null,
    -- names of the endpoints whose breaker is open
    open_breakers      text[] not null,
    oldest_event_at    timestamptz,
    earliest_deadline  timestamptz
) with (fillfactor = 50);
