CREATE TABLE click_clock (
  id BIGINT NOT NULL PRIMARY KEY,
  believed_at BIGINT NOT NULL,
  shown_at BIGINT NOT NULL,
  in_step_us BIGINT NOT NULL
);
