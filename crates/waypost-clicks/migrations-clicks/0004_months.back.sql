DROP TABLE click_months;
