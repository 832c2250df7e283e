-- A dedupe key of 128 bits cannot be made longer: the next anonymous link to the same URL is a new one.
UPDATE links SET dedupe_key = NULL WHERE dedupe_key IS NOT NULL;
UPDATE links SET record = '{"destination_url":"' || replace(record, '\', '\\') || '"}' WHERE record NOT LIKE '{%';
UPDATE link_versions SET record = '{"destination_url":"' || replace(record, '\', '\\') || '"}' WHERE record NOT LIKE '{%';
INSERT INTO link_versions (link_id, version, record, changed_by, changed_at)
  SELECT id, version, CASE WHEN deleted_at IS NULL THEN record END, changed_by, updated_at FROM links;
ALTER TABLE links DROP COLUMN changed_by;
