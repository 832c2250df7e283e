DROP TABLE click_totals;
