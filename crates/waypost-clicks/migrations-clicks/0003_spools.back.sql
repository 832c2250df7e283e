DROP TABLE click_spools;
