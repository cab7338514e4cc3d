-- Users and every id that Plaid ever named them by. Compared byte for byte.

create table plaid_users (
    -- never changes, so a sealed token is bound to it and not to an id that may
    id              bigint generated always as identity primary key,
    environment     text collate "C" not null,
    -- the canonical id: the usr_… one if there is one, else the first
    user_id         text collate "C" not null,
    client_user_id  text collate "C",
    -- every id of plaid_user_aliases, in the order they were added; the canonical one among them
    aliases         text[] not null,
    -- AES-256-GCM, bound to (plaid_users, user_token, id); null for users of the newer API
    user_token      bytea,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    unique (environment, user_id),
    unique (environment, client_user_id)
);

create table plaid_user_aliases (
    environment  text collate "C" not null,
    alias        text collate "C" not null,
    plaid_user   bigint not null references plaid_users (id) on delete cascade,
    added_at     timestamptz not null default now(),
    primary key (environment, alias)
);

create index plaid_user_aliases_user on plaid_user_aliases (plaid_user);
