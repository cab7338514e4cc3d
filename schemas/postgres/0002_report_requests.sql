-- What is awaited: one row for each (environment, user, product), set by the newest READY, FAILED or create by receipt.

create table report_requests (
    environment       text collate "C" not null,
    user_id           text collate "C" not null,
    product           text collate "C" not null,
    state             text not null check (state in ('pending', 'stored', 'failed', 'expired', 'dead')),
    -- receipt of the event that set the row last: an older event changes nothing
    received_at       timestamptz not null,
    -- its ce_id
    webhook_event_id  text,
    -- tries since then
    attempts          integer not null default 0 check (attempts >= 0),
    next_attempt_at   timestamptz,
    -- when the report can no longer be read; null where nothing awaits it
    deadline          timestamptz,
    last_error_type   text,
    last_error_code   text,
    -- the report that answered, while state is 'stored'
    report_id         text,
    updated_at        timestamptz not null default now(),
    primary key (environment, user_id, product)
) with (fillfactor = 80);

-- The only index on columns that change: every other would cost each update its cheap path.
create index report_requests_due on report_requests (next_attempt_at) where state = 'pending';
