DROP TABLE click_clock;
