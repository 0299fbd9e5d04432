//! The HTTP side of the process.
//!
//! Ring 3. Routers are values that tests call without a socket; [`serve`] puts one on a listener. Handlers know nothing of
//! the controller: the probes only read, and a webhook passes on a hint that something changed.

pub mod health;
pub mod hooks;
pub mod pace;
pub mod probes;
pub mod signals;

use std::io;

use axum::{Router, serve::ListenerExt};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves until `stop`, then takes no new connections and returns when the open ones have been answered. That can be
/// never; whoever calls it sets the limit.
///
/// # Errors
/// The listener broke.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) -> io::Result<()> {
    // Answers are small and written whole: waiting for more to send only delays them. A socket that refuses the
    // option is slower, no more.
    let listener = listener.tap_io(|socket| drop(socket.set_nodelay(true)));
    axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await
}
