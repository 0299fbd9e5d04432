//! What to look at next: each key at most once at a time, at once or later.
//!
//! A key that is asked for while it is being worked on is worked on again afterwards, so nothing that happens meanwhile is
//! missed. The queue holds each key once, so it is never longer than there are objects.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::StreamExt;
use tokio::{sync::Notify, time::Instant};
use tokio_util::time::{DelayQueue, delay_queue};

use crate::cluster::store::Key;

/// Where a key stands.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Place {
    queued: bool,
    running: bool,
    again: bool,
}

#[derive(Default)]
struct Inner {
    places: HashMap<Key, Place>,
    ready: VecDeque<Key>,
    later: Vec<(Key, Instant)>,
}

/// The queue. Cheap to share.
#[derive(Clone, Default)]
pub struct Queue {
    inner: Arc<Mutex<Inner>>,
    wake: Arc<Notify>,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a look at a key, as soon as possible.
    pub fn add(&self, key: Key) {
        let mut inner = self.lock();
        let place = inner.places.entry(key.clone()).or_default();
        if place.running {
            place.again = true;
            return;
        }
        if !place.queued {
            place.queued = true;
            inner.ready.push_back(key);
            drop(inner);
            self.wake.notify_one();
        }
    }

    /// Asks for a look at a key after a while, unless one comes sooner.
    pub fn add_after(&self, key: Key, delay: Duration) {
        self.lock().later.push((key, Instant::now() + delay));
        self.wake.notify_one();
    }

    /// How many keys wait for a look that is due.
    pub fn len(&self) -> usize {
        self.lock().ready.len()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next key, to be given back by [`Queue::done`].
    fn take(&self) -> Option<Key> {
        let mut inner = self.lock();
        let key = inner.ready.pop_front()?;
        inner.places.insert(key.clone(), Place { queued: false, running: true, again: false });
        Some(key)
    }

    /// A key has been looked at.
    pub fn done(&self, key: &Key) {
        let mut inner = self.lock();
        if inner.places.remove(key).is_some_and(|place| place.again) {
            drop(inner);
            self.add(key.clone());
        }
    }
}

/// The reading side: it knows the time.
pub struct Schedule {
    queue: Queue,
    timers: DelayQueue<Key>,
    set: HashMap<Key, (delay_queue::Key, Instant)>,
}

impl Schedule {
    /// The reading side of a queue; there must be one only.
    pub fn new(queue: Queue) -> Self {
        Self { queue, timers: DelayQueue::new(), set: HashMap::new() }
    }

    /// The next key whose look is due.
    pub async fn next(&mut self) -> Key {
        loop {
            self.arm();
            if let Some(key) = self.queue.take() {
                if let Some((timer, _)) = self.set.remove(&key) {
                    self.timers.remove(&timer);
                }
                return key;
            }
            tokio::select! {
                () = self.queue.wake.notified() => {}
                Some(expired) = self.timers.next(), if !self.timers.is_empty() => {
                    let key = expired.into_inner();
                    self.set.remove(&key);
                    self.queue.add(key);
                }
            }
        }
    }

    /// Sets the timers that were asked for; of two for the same key the sooner counts.
    fn arm(&mut self) {
        let later = std::mem::take(&mut self.queue.lock().later);
        for (key, at) in later {
            if let Some((timer, before)) = self.set.get(&key) {
                if *before <= at {
                    continue;
                }
                self.timers.remove(timer);
            }
            let timer = self.timers.insert_at(key.clone(), at);
            self.set.insert(key, (timer, at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_looked_at_once_however_often_it_is_asked_for() {
        let queue = Queue::default();
        let mut schedule = Schedule::new(queue.clone());
        queue.add(key("a"));
        queue.add(key("a"));
        queue.add(key("b"));
        assert_eq!(schedule.next().await, key("a"));
        assert_eq!(schedule.next().await, key("b"));
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_a_look_leads_to_another_one() {
        let queue = Queue::default();
        let mut schedule = Schedule::new(queue.clone());
        queue.add(key("a"));
        let taken = schedule.next().await;
        queue.add(key("a"));
        assert!(queue.is_empty(), "no second look at the same time");
        queue.done(&taken);
        assert_eq!(schedule.next().await, key("a"));
        queue.done(&key("a"));
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_times_the_sooner_counts_and_a_look_before_it_replaces_it() {
        let queue = Queue::default();
        let mut schedule = Schedule::new(queue.clone());
        let start = Instant::now();
        queue.add_after(key("a"), Duration::from_secs(30));
        queue.add_after(key("a"), Duration::from_secs(5));
        queue.add_after(key("b"), Duration::from_mins(1));
        assert_eq!(schedule.next().await, key("a"));
        assert_eq!(start.elapsed().as_secs(), 5);
        queue.done(&key("a"));
        queue.add(key("b"));
        assert_eq!(schedule.next().await, key("b"));
        assert_eq!(start.elapsed().as_secs(), 5);
        queue.done(&key("b"));
        queue.add_after(key("c"), Duration::from_secs(1));
        assert_eq!(schedule.next().await, key("c"));
        assert_eq!(start.elapsed().as_secs(), 6, "the later times of a and b are gone");
    }
}
