ALTER TABLE domains DROP COLUMN deleted_at;
