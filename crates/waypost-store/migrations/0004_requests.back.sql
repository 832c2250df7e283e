DROP TABLE settings;
DROP TABLE idempotency_keys;
