//! The application of the suite.

pub(crate) use trickles_suite::application::*;
