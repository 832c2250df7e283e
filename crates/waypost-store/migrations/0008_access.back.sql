DROP TABLE audit_entries;
ALTER TABLE api_keys DROP COLUMN origins;
ALTER TABLE api_keys DROP COLUMN domain_ids;
ALTER TABLE api_keys DROP COLUMN scopes;
ALTER TABLE api_keys DROP COLUMN kind;
