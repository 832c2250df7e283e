CREATE TABLE accounts (
  id BIGINT NOT NULL PRIMARY KEY,
  name {text} NOT NULL,
  kind {text} NOT NULL,
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX accounts_special_kind ON accounts (kind) WHERE kind <> 'standard';

CREATE TABLE members (
  id {text} NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES accounts (id),
  email {text} NOT NULL,
  role {text} NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (account_id, email)
);

CREATE TABLE api_keys (
  id {text} NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES accounts (id),
  name {text} NOT NULL,
  key_id {text} NOT NULL UNIQUE,
  secret_digest {blob} NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  last_used_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX api_keys_account ON api_keys (account_id, id);
