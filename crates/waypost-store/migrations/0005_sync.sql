-- How each target outside this process is doing: how far it has read the outbox, where a walk over everything stands
-- (fill_stage: over the 'links', then over the 'rows' below; fill_all: also what the target has acknowledged), whether it may be called.
CREATE TABLE sync_targets (
  target {text} NOT NULL PRIMARY KEY,
  cursor BIGINT NOT NULL,
  fill_stage {text},
  fill_all BIGINT NOT NULL,
  fill_domain_id BIGINT NOT NULL,
  fill_slug {text} NOT NULL,
  calls_full_at BIGINT NOT NULL,
  rests_until BIGINT NOT NULL,
  rest_reason {text},
  error {text},
  faults BIGINT NOT NULL,
  last_success_at BIGINT
);

-- What each target has of each slug. A row whose next_attempt_at is due is to be pushed: it is pending, or was being pushed
-- by a process whose lease has ended (a lease is next_attempt_at together with lease_id). push_again: what is being pushed is not
-- the last word. sent_at: when the target last answered, at the latest.
CREATE TABLE sync_states (
  target {text} NOT NULL,
  domain_id BIGINT NOT NULL,
  slug {text} NOT NULL,
  link_id {blob},
  version BIGINT NOT NULL,
  synced_version BIGINT,
  status {text} NOT NULL,
  push_again BIGINT NOT NULL,
  attempts BIGINT NOT NULL,
  error {text},
  first_fault_at BIGINT,
  pending_since BIGINT,
  next_attempt_at BIGINT,
  sent_at BIGINT,
  synced_at BIGINT,
  lease_id {text},
  PRIMARY KEY (target, domain_id, slug)
){clustered};
CREATE INDEX sync_states_due ON sync_states (target, next_attempt_at, domain_id, slug) WHERE next_attempt_at IS NOT NULL;
CREATE INDEX sync_states_pending ON sync_states (target, pending_since) WHERE pending_since IS NOT NULL;
CREATE INDEX sync_states_open ON sync_states (target, status, domain_id, slug) WHERE status <> 'synced';
