DROP TABLE click_refused;
