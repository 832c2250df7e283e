//! The click spool: a durable log that edge threads append to and one reader drains.
