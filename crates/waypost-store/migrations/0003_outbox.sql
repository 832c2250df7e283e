CREATE TABLE outbox (
  sequence {sequence_key},
  link_id {blob} NOT NULL,
  domain_id BIGINT NOT NULL,
  slug {text} NOT NULL,
  version BIGINT NOT NULL
);
