CREATE TABLE click_months (
  scope BIGINT NOT NULL,
  part BIGINT NOT NULL,
  month BIGINT NOT NULL,
  rollup {blob} NOT NULL,
  PRIMARY KEY (scope, part, month)
);
CREATE INDEX click_months_month ON click_months (month, scope);
