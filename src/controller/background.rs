//! Work that looks begin and do not wait for.
//!
//! It ends with whoever drives the looks: before the Lease is given back, nothing of this process may write any more.

use futures::future::{AbortHandle, BoxFuture, FutureExt, abortable};
use tokio::{sync::mpsc, task::JoinSet};

/// Where work is begun. Cheap to share. Each Profile and each repository has one piece of it at most.
#[derive(Clone)]
pub struct Background {
    begun: mpsc::UnboundedSender<BoxFuture<'static, ()>>,
}

/// The receiving side: there is one.
pub struct Workplace {
    begun: mpsc::UnboundedReceiver<BoxFuture<'static, ()>>,
}

/// Both sides.
pub fn background() -> (Background, Workplace) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Background { begun: sender }, Workplace { begun: receiver })
}

/// What was begun. It is dropped with this.
#[must_use]
pub struct Running(AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Background {
    /// Begins something that lasts as long as the process leads.
    pub fn keep(&self, work: impl Future<Output = ()> + Send + 'static) {
        drop(self.begun.send(work.boxed()));
    }

    /// Begins something. It ends when it is done, when what is returned is dropped, or with the process's turn.
    pub fn begin(&self, work: impl Future<Output = ()> + Send + 'static) -> Running {
        let (work, handle) = abortable(work);
        // Nobody receives any more only when everything ends.
        drop(self.begun.send(work.map(drop).boxed()));
        Running(handle)
    }
}

impl Workplace {
    /// Carries out what is begun, until it is dropped.
    pub async fn work(mut self) {
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                begun = self.begun.recv() => match begun {
                    Some(work) => drop(under_way.spawn(work)),
                    None => return,
                },
                Some(_) = under_way.join_next() => {}
            }
        }
    }
}
