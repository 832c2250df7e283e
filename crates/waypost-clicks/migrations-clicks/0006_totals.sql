CREATE TABLE click_totals (
  scope BIGINT NOT NULL,
  classes BIGINT NOT NULL,
  through BIGINT NOT NULL,
  total {blob} NOT NULL,
  PRIMARY KEY (scope, classes, through)
){clustered};
CREATE INDEX click_totals_through ON click_totals (through, scope);
