-- Reports exactly as Plaid sent them, one row for each (environment, product, report_id).
--
-- The body is text and neither json nor jsonb: those refuse or rewrite bodies that are lawful, and cost several times
-- as much to store. `checkctl migrate` sets lz4 compression on it where the server has lz4.
--
-- Ids collate as "C": they are compared, never sorted for people, and such an index survives a change of the
-- operating system's locale data.

create table reports (
    environment         text collate "C" not null,
    -- Plaid's name: cra_base_report, cra_income_insights, cra_partner_insights
    product             text collate "C" not null,
    report_id           text collate "C" not null,
    -- the user's canonical id (plaid_users.user_id), or the webhook's where no row names the user
    user_id             text collate "C" not null,
    client_report_id    text,
    -- for ordering: cut to microseconds
    generated_at        timestamptz,
    -- for identity: as the report spells it, up to nanoseconds
    generated_at_text   text,
    fetch_started_at    timestamptz not null,
    fetched_at          timestamptz not null,
    -- The moment of the insert, by the server's clock: with covers_received_at, what a webhook's way took.
    stored_at           timestamptz not null default clock_timestamp(),
    -- receipt of the newest READY that this report answers; an event not newer than it needs no fetch.
    -- The only column that changes when the same report comes again.
    covers_received_at  timestamptz not null,
    body                text not null,
    body_sha256         bytea not null check (octet_length(body_sha256) = 32),
    byte_count          integer not null check (byte_count >= 0),
    -- Plaid's USER_FRAUD_ALERT: identity must be verified before acting on the report
    fraud_alert         boolean not null,
    -- false: json operators cannot read the body, or a strict parser refuses it
    strict_json         boolean not null,
    -- ce_id of the webhook that led to the first fetch
    webhook_event_id    text,
    primary key (environment, product, report_id)
) with (toast.autovacuum_vacuum_scale_factor = 0.02);

create index reports_coverage on reports (environment, user_id, product, covers_received_at desc);

-- `body->'report'->>'report_id'` over many rows: one body that json cannot read would fail the whole query, so such
-- rows are left out, and the cast stands in a CASE because a WHERE clause alone promises no order of evaluation.
create view report_documents as
select environment, product, report_id, user_id, client_report_id, generated_at, fetched_at, generated_at_text,
       fetch_started_at, covers_received_at,
       case when strict_json then body::json end as body,
       body_sha256, byte_count, fraud_alert, webhook_event_id
  from reports
 where strict_json;
