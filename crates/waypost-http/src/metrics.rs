//! Metrics of this instance for a monitoring system, in the text format of Prometheus (OpenMetrics).
//!
//! They are computed when they are requested, and not stored. No label has a value from outside.

use std::sync::atomic::{AtomicI64, AtomicU64};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::time::timeout;
use waypost_api::clicks::EpochAudit;
use waypost_api::health::{SyncCheck, SyncCheckState};
use waypost_control::{ANSWER_MAX, App, Caller, Problem, WebhookCounts};
use waypost_core::sync::RestReason;
use waypost_ingest::IngestStatus;
use waypost_spool::SpoolStats;
use waypost_sync::OutboxStatus;

/// The media type of what [`metrics`] writes.
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CauseLabel {
    cause: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetLabel {
    target: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetStatusLabel {
    target: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TargetReasonLabel {
    target: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeliveryLabels {
    endpoint: &'static str,
    outcome: &'static str,
}

/// All numbers. What the databases cannot say just now is left out; that they cannot is a number, too.
pub(crate) async fn metrics(app: &App, caller: &Caller) -> Result<String, Problem> {
    let (readiness, audit) = tokio::join!(app.readiness(), timeout(ANSWER_MAX, app.audit_clicks(caller)));
    let audit = audit.ok().and_then(Result::ok);
    let mut page = Page::default();
    page.flag("store_up", "Whether the database of the links answers and takes writes", readiness.checks.store.ok);
    let table = &readiness.checks.table;
    page.gauge("table_cursor", "Outbox sequence up to which the link table is current", table.cursor);
    if let Some(behind) = table.behind {
        page.gauge("table_behind", "Changes that the link table has not taken yet", behind);
    }
    page.counter("table_refused", "Links that the link table cannot serve as they are stored", table.refused);
    page.counter(
        "table_skipped",
        "Rules and other parts of links that cannot be followed, so that their links do without",
        app.skipped_parts(),
    );
    page.flag("table_complete", "Whether a link that is not in the link table is known not to exist", table.complete);
    page.flag(
        "table_damaged",
        "Whether the link table's file is damaged, and is being filled anew",
        table.damage.is_some(),
    );
    page.counter("table_mended", "Damaged link tables that were filled anew since the start", table.mended);
    page.flag("table_sync_failing", "Whether the link table is not being kept current", !table.ok);
    if let (Some(check), Some(outbox)) = (&readiness.checks.sync, app.outbox_status()) {
        page.sync(check, &outbox);
    }
    page.gauge("live_listeners", "Live feeds that are open", app.live_feeds() as u64);
    page.flag("clicks_store_up", "Whether the database of the clicks answers", audit.is_some());
    page.ingest(&app.clicks().status());
    page.webhooks(app.webhook_counts());
    if let Some(audit) = audit {
        page.audit(&audit.epochs);
    }
    if let Some(stats) = app.spool_stats() {
        page.spool(&stats);
    }
    page.finish()
}

/// Numbers, collected.
struct Page {
    registry: Registry,
}

impl Default for Page {
    fn default() -> Self {
        Self { registry: Registry::with_prefix("waypost") }
    }
}

impl Page {
    fn ingest(&mut self, status: &IngestStatus) {
        self.counter("clicks_counted", "Clicks counted since the start", status.counted);
        self.gauge("clicks_pending", "Clicks that wait to be counted", status.pending);
        self.seconds("clicks_pending_age_seconds", "How long the oldest of them has waited", status.pending_age_s);
        self.counter("click_ingest_batches", "Transactions that counted clicks", status.batches);
        self.counter("click_ingest_failures", "Attempts to count clicks that failed", status.failures);
        self.flag("click_ingest_failing", "Whether the last attempt to count clicks failed", status.is_failing);
        self.gauge("click_ingest_last_batch_clicks", "Clicks of the last transaction", status.last_batch_clicks);
        let help = "How long the last transaction took";
        self.seconds("click_ingest_last_batch_seconds", help, status.last_batch_s);
        let help = "Clicks whose browser was not read, because too many new user agents came at once";
        self.counter("clicks_user_agent_unparsed", help, status.unparsed_user_agents);
        let help = "Whether raw clicks are kept longer because the clock is not believed";
        self.flag("click_retention_held", help, status.retention_held.is_some());
    }

    fn sync(&mut self, check: &SyncCheck, status: &OutboxStatus) {
        let target = check.target.name();
        let of_target = |value: u64| {
            let family = Family::<TargetLabel, Counter>::default();
            family.get_or_create(&TargetLabel { target }).inc_by(value);
            family
        };
        self.registry.register(
            "sync_calls",
            "Calls of the target's interface since the start",
            of_target(status.calls),
        );
        let help = "Keys that the target has acknowledged since the start";
        self.registry.register("sync_pushed_keys", help, of_target(status.pushed_keys));
        let help = "Keys that this process was late with since the start, so that they were pushed again";
        self.registry.register("sync_late_keys", help, of_target(status.late_keys));
        let faults = Family::<TargetReasonLabel, Counter>::default();
        let counts = status.faults;
        for (reason, count) in [
            ("refused", counts.refused),
            ("configuration", counts.configuration),
            ("rate_limited", counts.rate_limited),
            ("quota", counts.quota),
            ("unavailable", counts.unavailable),
        ] {
            faults.get_or_create(&TargetReasonLabel { target, reason }).inc_by(count);
        }
        self.registry.register("sync_faults", "Calls that failed since the start", faults);
        let failing = Family::<TargetLabel, Gauge>::default();
        failing.get_or_create(&TargetLabel { target }).set((!check.ok).into());
        let help =
            "Whether a person should look: the job fails, the configuration is refused, or a change waits for too long";
        self.registry.register("sync_failing", help, failing);
        if let Some(state) = &check.state {
            self.sync_state(target, state);
        }
    }

    fn sync_state(&mut self, target: &'static str, state: &SyncCheckState) {
        let age = Family::<TargetLabel, Gauge<f64, AtomicU64>>::default();
        age.get_or_create(&TargetLabel { target }).set(state.pending_age_s);
        let help = "How long the oldest change has waited for the target, which should stay below 300";
        self.registry.register("sync_pending_age_seconds", help, age);
        let keys = Family::<TargetStatusLabel, Gauge>::default();
        for (status, count) in [("pending", state.pending), ("syncing", state.syncing), ("failed", state.failed)] {
            let gauge = keys.get_or_create(&TargetStatusLabel { target, status });
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.registry.register("sync_keys", "Keys of which the target is behind", keys);
        let resting = Family::<TargetReasonLabel, Gauge>::default();
        for (name, reason) in RestReason::NAMES {
            let gauge = resting.get_or_create(&TargetReasonLabel { target, reason: name });
            gauge.set((state.rest_reason == Some(reason)).into());
        }
        self.registry.register("sync_resting", "Whether the target is not called for a while, and why", resting);
    }

    fn webhooks(&mut self, counts: &WebhookCounts) {
        let events = Family::<ResultLabel, Counter>::default();
        for (result, count) in counts.events() {
            events.get_or_create(&ResultLabel { result }).inc_by(count);
        }
        self.registry.register("webhook_events", "Events of signed deliveries, by what became of them", events);
        let deliveries = Family::<DeliveryLabels, Counter>::default();
        for ((endpoint, outcome), count) in counts.deliveries() {
            deliveries.get_or_create(&DeliveryLabels { endpoint, outcome }).inc_by(count);
        }
        let help = "Requests that must be signed, by what was asked for and what became of them";
        self.registry.register("webhook_deliveries", help, deliveries);
    }

    fn audit(&mut self, epochs: &[EpochAudit]) {
        let lost = Family::<CauseLabel, Counter>::default();
        for epoch in epochs {
            for (cause, count) in
                [("full", epoch.lost.full), ("damaged", epoch.lost.damaged), ("unreadable", epoch.lost.unreadable)]
            {
                lost.get_or_create(&CauseLabel { cause }).inc_by(count);
            }
        }
        self.registry.register("clicks_lost", "Clicks declared lost, ever", lost);
        let stored = epochs.iter().map(|epoch| epoch.stored).sum();
        self.counter("clicks_stored", "Clicks counted, ever, of edges that number them", stored);
        let missing = epochs.iter().map(|epoch| epoch.missing).sum();
        self.gauge("clicks_missing", "Clicks that an edge has numbered and that never came", missing);
    }

    fn spool(&mut self, stats: &SpoolStats) {
        self.counter("spool_appended", "Clicks numbered since the start, stored or lost", stats.appended);
        self.counter("spool_lost", "Clicks that found no room since the start", stats.lost);
        self.flag("spool_losing", "Whether clicks are being lost for want of room", stats.losing.is_some());
        self.counter("spool_damaged", "Clicks found damaged since the start", stats.damaged);
        self.gauge("spool_bytes", "Bytes of the spool's files", stats.bytes_on_disk);
        self.gauge("spool_segments", "Files of the spool that hold clicks", stats.segments);
        self.counter("spool_flushes", "Rounds of flushing", stats.flushes);
        self.counter("spool_flush_failures", "Rounds in which something could not be flushed", stats.flush_failures);
        let help = "Files of which some bytes may not have reached the disk";
        self.gauge("spool_suspect_segments", help, stats.suspect_segments);
        if let Some(age) = stats.last_flush_age {
            self.seconds("spool_last_flush_age_seconds", "Time since all was flushed", age.as_secs_f64());
        }
    }

    /// A number that only grows; the format adds `_total` to its name.
    fn counter(&mut self, name: &str, help: &str, value: u64) {
        let counter = Counter::<u64, AtomicU64>::default();
        counter.inc_by(value);
        self.registry.register(name, help, counter);
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        let gauge = Gauge::<i64, AtomicI64>::default();
        gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        self.registry.register(name, help, gauge);
    }

    fn flag(&mut self, name: &str, help: &str, value: bool) {
        self.gauge(name, help, value.into());
    }

    fn seconds(&mut self, name: &str, help: &str, value: f64) {
        let gauge = Gauge::<f64, AtomicU64>::default();
        gauge.set(value);
        self.registry.register(name, help, gauge);
    }

    fn finish(self) -> Result<String, Problem> {
        let mut text = String::new();
        encode(&mut text, &self.registry).map_err(|error| Problem::internal("writing the metrics", &error))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut page = Page::default();
        page.ingest(&IngestStatus { counted: 7, pending_age_s: 0.5, is_failing: true, ..IngestStatus::default() });
        page.spool(&SpoolStats { last_flush_age: Some(Duration::from_millis(20)), ..SpoolStats::default() });
        let text = page.finish().unwrap();
        for line in [
            "# TYPE waypost_clicks_counted counter",
            "waypost_clicks_counted_total 7",
            "waypost_clicks_pending_age_seconds 0.5",
            "waypost_click_ingest_failing 1",
            "waypost_spool_last_flush_age_seconds 0.02",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        // One dot at the end of each help text, which the encoder adds.
        assert!(!text.contains("..\n"), "{text}");
    }
}
