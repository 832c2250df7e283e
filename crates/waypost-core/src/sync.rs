//! The words for how far targets of links are: in SQL, in JSON and in metrics.

use crate::coded::coded_enum;

coded_enum! {
    /// Where links are copied to, outside the process that serves them.
    pub enum SyncTarget {
        /// A namespace of Cloudflare Workers KV.
        CloudflareKv = 0 "cloudflare_kv",
    }
}

coded_enum! {
    /// How a key stands at a target.
    pub enum SyncStatus {
        /// The target is to be told, now or at the next attempt.
        Pending = 0 "pending",
        /// A process is telling it.
        Syncing = 1 "syncing",
        /// It has acknowledged the newest version.
        Synced = 2 "synced",
        /// It refused, or five attempts failed. Where a next attempt is set, it is still tried, because nobody else's keys got through.
        Failed = 3 "failed",
    }
}

coded_enum! {
    /// Why a target is not called for a while.
    pub enum RestReason {
        /// It asked for fewer calls.
        RateLimited = 0 "rate_limited",
        /// The day's writes are used up.
        Quota = 1 "quota",
        /// It refuses this configuration: the token, the account or the namespace. A person must act.
        Configuration = 2 "configuration",
        /// Calls fail.
        Fault = 3 "fault",
    }
}
