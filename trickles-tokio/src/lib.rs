//! Tokio.
