CREATE TABLE click_refused (
  sequence {sequence_key},
  received_at BIGINT NOT NULL,
  digest BIGINT NOT NULL UNIQUE,
  edge_id {text} NOT NULL,
  reason {text} NOT NULL,
  event {text} NOT NULL
);
