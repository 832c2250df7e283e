-- The version of now is in its link's row; link_versions has only those that were replaced.
ALTER TABLE links ADD COLUMN changed_by {text};
UPDATE links SET changed_by =
  (SELECT v.changed_by FROM link_versions AS v WHERE v.link_id = links.id AND v.version = links.version);
DELETE FROM link_versions
  WHERE version = (SELECT l.version FROM links AS l WHERE l.id = link_versions.link_id);

-- A record that says nothing but its destination is stored as that (four quotation marks, nothing escaped).
UPDATE links SET record = substr(record, 21, length(record) - 22)
  WHERE record LIKE '{"destination_url":"%"}' AND length(record) - length(replace(record, '"', '')) = 4
    AND replace(record, '\', '') = record;
UPDATE link_versions SET record = substr(record, 21, length(record) - 22)
  WHERE record LIKE '{"destination_url":"%"}' AND length(record) - length(replace(record, '"', '')) = 4
    AND replace(record, '\', '') = record;

-- 128 bits of the digest are enough.
UPDATE links SET dedupe_key = substr(dedupe_key, 1, 32) WHERE dedupe_key IS NOT NULL;
