CREATE TABLE outbox (
  sequence BIGINT NOT NULL PRIMARY KEY,
  link_id {text} NOT NULL,
  domain_id {text} NOT NULL,
  slug {text} NOT NULL,
  version BIGINT NOT NULL
){clustered};
