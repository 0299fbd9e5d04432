//! Routes: how a share of the traffic is written into them, read back, and acknowledged by routers.
//!
//! Ring 1. A provider (a kind of route) is one file.
