-- A deleted domain keeps its row, for its deleted links and their versions, until a domain with its host is made again.
ALTER TABLE domains ADD COLUMN deleted_at BIGINT;
