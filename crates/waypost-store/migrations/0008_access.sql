-- What keys of before may do stays what it was: everything.
ALTER TABLE api_keys ADD COLUMN kind {text} NOT NULL DEFAULT 'secret';
ALTER TABLE api_keys ADD COLUMN scopes {text} NOT NULL DEFAULT 'admin';
ALTER TABLE api_keys ADD COLUMN domain_ids {text};
ALTER TABLE api_keys ADD COLUMN origins {text};

-- Entries of changes of a link hold its version: what changed is read from its versions.
CREATE TABLE audit_entries (
  account_id BIGINT NOT NULL,
  id {blob} NOT NULL,
  actor {text} NOT NULL,
  actor_name {text},
  address {text},
  action {text} NOT NULL,
  object_id {text},
  version BIGINT,
  before_change {text},
  after_change {text},
  created_at BIGINT NOT NULL,
  PRIMARY KEY (account_id, id)
){clustered};
