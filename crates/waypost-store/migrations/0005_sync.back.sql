DROP TABLE sync_states;
DROP TABLE sync_targets;
