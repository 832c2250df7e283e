DROP TABLE click_policies;
DROP TABLE click_event_ids;
DROP TABLE click_writers;
DROP TABLE click_blocks;
DROP TABLE click_damage;
DROP TABLE click_link_days;
DROP TABLE click_days;
DROP TABLE click_scopes;
