//! The states of links at targets, with their names in SQL, JSON and metrics.

use crate::coded::coded_enum;

coded_enum! {
    /// Where links are copied to, outside the process that serves them.
    pub enum SyncTarget {
        /// A namespace of Cloudflare Workers KV.
        CloudflareKv = 0 "cloudflare_kv",
    }
}

coded_enum! {
    /// The state of a key at a target.
    pub enum SyncStatus {
        /// The key waits to be pushed, now or at the next attempt.
        Pending = 0 "pending",
        /// A process is pushing it.
        Syncing = 1 "syncing",
        /// The target has acknowledged the newest version.
        Synced = 2 "synced",
        /// The target refused, or five attempts failed. If a next attempt is set, attempts continue, because pushes of
        /// all other keys failed too.
        Failed = 3 "failed",
    }
}

coded_enum! {
    /// Why requests to a target back off.
    pub enum RestReason {
        /// The target asked for fewer requests.
        RateLimited = 0 "rate_limited",
        /// The day's limit of writes is reached.
        Quota = 1 "quota",
        /// The target refuses the token, the account or the namespace. A person must act.
        Configuration = 2 "configuration",
        /// Requests fail.
        Fault = 3 "fault",
    }
}
