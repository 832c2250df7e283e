CREATE TABLE domains (
  id BIGINT NOT NULL PRIMARY KEY,
  account_id BIGINT REFERENCES accounts (id),
  host {text} NOT NULL UNIQUE,
  is_default BIGINT NOT NULL,
  case_insensitive BIGINT NOT NULL,
  root_url {text},
  created_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX domains_default ON domains (is_default) WHERE is_default = 1;
CREATE INDEX domains_account ON domains (account_id, host);

-- The references are looked at when a transaction ends: a statement that may fail on its way makes SQLite copy every page
-- that it changes, which costs imports a quarter of their time.
CREATE TABLE links (
  id {blob} NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES accounts (id) DEFERRABLE INITIALLY DEFERRED,
  domain_id BIGINT NOT NULL REFERENCES domains (id) DEFERRABLE INITIALLY DEFERRED,
  slug {text} NOT NULL,
  version BIGINT NOT NULL,
  record {text} NOT NULL,
  dedupe_key {text},
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  deleted_at BIGINT
);
CREATE UNIQUE INDEX links_live_slug ON links (domain_id, slug) WHERE deleted_at IS NULL;
CREATE INDEX links_deleted_slug ON links (domain_id, slug, version) WHERE deleted_at IS NOT NULL;
CREATE UNIQUE INDEX links_dedupe_key ON links (dedupe_key) WHERE dedupe_key IS NOT NULL;
CREATE INDEX links_newest ON links (account_id, created_at, id) WHERE deleted_at IS NULL;

CREATE TABLE link_versions (
  link_id {blob} NOT NULL REFERENCES links (id),
  version BIGINT NOT NULL,
  record {text},
  changed_by {text},
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (link_id, version)
){clustered};

CREATE TABLE utm_templates (
  id {text} NOT NULL PRIMARY KEY,
  account_id BIGINT NOT NULL REFERENCES accounts (id),
  position BIGINT NOT NULL,
  name {text} NOT NULL,
  platform_domains {text} NOT NULL,
  utm_source {text},
  utm_medium {text},
  utm_campaign {text},
  utm_term {text},
  utm_content {text}
);
CREATE INDEX utm_templates_account ON utm_templates (account_id, position, id);
