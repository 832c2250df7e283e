CREATE TABLE click_scopes (
  number {sequence_key},
  parent BIGINT NOT NULL,
  key {text} NOT NULL,
  UNIQUE (key, parent)
);

CREATE TABLE click_days (
  cell {sequence_key},
  rollup {blob} NOT NULL
);

CREATE TABLE click_link_days (
  cell {sequence_key},
  rollup {blob} NOT NULL
);

CREATE TABLE click_damage (
  kind {text} NOT NULL,
  cell BIGINT NOT NULL,
  found_at BIGINT NOT NULL,
  rollup {blob} NOT NULL,
  PRIMARY KEY (kind, cell, found_at)
);

CREATE TABLE click_blocks (
  account BIGINT NOT NULL,
  day BIGINT NOT NULL,
  ordinal BIGINT NOT NULL,
  next_ordinal BIGINT NOT NULL,
  clicks BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  stored_day BIGINT NOT NULL,
  body {blob} NOT NULL,
  PRIMARY KEY (account, day, ordinal)
);

CREATE TABLE click_writers (
  edge_id {text} NOT NULL,
  epoch BIGINT NOT NULL,
  received {text} NOT NULL,
  stored BIGINT NOT NULL,
  lost_full BIGINT NOT NULL,
  lost_damaged BIGINT NOT NULL,
  lost_unreadable BIGINT NOT NULL,
  first_at BIGINT NOT NULL,
  last_at BIGINT NOT NULL,
  PRIMARY KEY (edge_id, epoch)
){clustered};

CREATE TABLE click_event_ids (
  event_id {blob} NOT NULL PRIMARY KEY,
  day BIGINT NOT NULL
){clustered};
CREATE INDEX click_event_ids_day ON click_event_ids (day);

CREATE TABLE click_policies (
  account {text} NOT NULL PRIMARY KEY,
  retention_days BIGINT NOT NULL
){clustered};
