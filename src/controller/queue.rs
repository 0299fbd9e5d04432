//! What to look at next: each key at most once at a time, at once or later.
//!
//! A key that is asked for while it is being worked on is worked on again afterwards, so nothing that happens meanwhile is
//! missed. The queue holds each key once, so it is never longer than there are objects.
//!
//! There are two turns: where hundreds are to begin at once, what is under way already does not wait behind all of them. It
//! takes most of the looks and never all, so nothing waits for ever.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{FutureExt, StreamExt};
use tokio::{sync::Notify, time::Instant};
use tokio_util::time::{DelayQueue, delay_queue};

use crate::cluster::store::Key;

/// When a key's look comes, of those that are due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// In the order in which keys were asked for.
    Usual,
    /// Before those.
    First,
}

/// The most looks of the first turn in a row while others wait.
const IN_A_ROW: u32 = 8;

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It waits for its turn.
    Queued(Turn),
    /// It is being looked at; whether it is to be looked at once more.
    Running(Option<Turn>),
}

#[derive(Default)]
struct Inner {
    places: HashMap<Key, Place>,
    usual: VecDeque<Key>,
    first: VecDeque<Key>,
    /// How many of the first turn were taken in a row while others waited.
    row: u32,
    later: Vec<(Key, Instant)>,
}

impl Inner {
    /// The next key of a turn. One that has got another turn meanwhile is left out.
    fn pop(&mut self, turn: Turn) -> Option<Key> {
        let keys = match turn {
            Turn::Usual => &mut self.usual,
            Turn::First => &mut self.first,
        };
        while let Some(key) = keys.pop_front() {
            if self.places.get(&key) == Some(&Place::Queued(turn)) {
                return Some(key);
            }
        }
        None
    }

    fn next(&mut self) -> Option<Key> {
        if self.row >= IN_A_ROW {
            self.row = 0;
            if let Some(key) = self.pop(Turn::Usual) {
                return Some(key);
            }
        }
        let Some(key) = self.pop(Turn::First) else {
            self.row = 0;
            return self.pop(Turn::Usual);
        };
        self.row = if self.usual.is_empty() { 0 } else { self.row + 1 };
        Some(key)
    }
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

    /// Asks for a look at a key, in its usual turn.
    pub fn add(&self, key: Key) {
        self.add_in(Turn::Usual, key);
    }

    /// Asks for a look at a key in this turn, unless it has a better one already.
    pub fn add_in(&self, turn: Turn, key: Key) {
        let mut inner = self.lock();
        match inner.places.get_mut(&key) {
            Some(Place::Running(again)) => {
                *again = (*again).max(Some(turn));
                return;
            }
            Some(Place::Queued(before)) if *before >= turn => return,
            _ => {}
        }
        inner.places.insert(key.clone(), Place::Queued(turn));
        match turn {
            Turn::Usual => inner.usual.push_back(key),
            Turn::First => inner.first.push_back(key),
        }
        drop(inner);
        self.wake.notify_one();
    }

    /// Asks for a look at a key after a while, unless one comes sooner.
    pub fn add_after(&self, key: Key, delay: Duration) {
        self.lock().later.push((key, Instant::now() + delay));
        self.wake.notify_one();
    }

    /// How many keys wait for a look that is due.
    pub fn len(&self) -> usize {
        self.lock().places.values().filter(|place| matches!(place, Place::Queued(_))).count()
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes the next key, to be given back by [`Queue::done`].
    fn take(&self) -> Option<Key> {
        let mut inner = self.lock();
        let key = inner.next()?;
        inner.places.insert(key.clone(), Place::Running(None));
        Some(key)
    }

    /// A key has been looked at.
    pub fn done(&self, key: &Key) {
        let mut inner = self.lock();
        if let Some(Place::Running(Some(turn))) = inner.places.remove(key) {
            drop(inner);
            self.add_in(turn, key.clone());
        }
    }
}

/// The reading side: it knows the time.
pub struct Schedule {
    queue: Queue,
    /// The turn of what was asked for after a while.
    timed: Turn,
    timers: DelayQueue<Key>,
    set: HashMap<Key, (delay_queue::Key, Instant)>,
}

impl Schedule {
    /// The reading side of a queue; there must be one only. What was asked for after a while has this turn then.
    pub fn new(queue: Queue, timed: Turn) -> Self {
        Self { queue, timed, timers: DelayQueue::new(), set: HashMap::new() }
    }

    /// The next key whose look is due.
    pub async fn next(&mut self) -> Key {
        loop {
            self.arm();
            // What is due by time does not wait until nothing else is.
            while let Some(Some(expired)) = self.timers.next().now_or_never() {
                self.due(expired);
            }
            if let Some(key) = self.queue.take() {
                if let Some((timer, _)) = self.set.remove(&key) {
                    self.timers.remove(&timer);
                }
                return key;
            }
            tokio::select! {
                () = self.queue.wake.notified() => {}
                Some(expired) = self.timers.next(), if !self.timers.is_empty() => self.due(expired),
            }
        }
    }

    fn due(&mut self, expired: delay_queue::Expired<Key>) {
        let key = expired.into_inner();
        self.set.remove(&key);
        self.queue.add_in(self.timed, key);
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
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("ns", name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_looked_at_once_however_often_it_is_asked_for() {
        let queue = Queue::default();
        let mut schedule = Schedule::new(queue.clone(), Turn::Usual);
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
        let mut schedule = Schedule::new(queue.clone(), Turn::Usual);
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
        let mut schedule = Schedule::new(queue.clone(), Turn::Usual);
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

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_comes_first_and_never_all_the_time() {
        let queue = Queue::default();
        let mut schedule = Schedule::new(queue.clone(), Turn::First);
        for number in 0..2 {
            queue.add(key(&format!("new-{number}")));
        }
        queue.add_after(key("due"), Duration::ZERO);
        for number in 0..12 {
            queue.add_in(Turn::First, key(&format!("ready-{number}")));
        }
        let mut order = Vec::new();
        for _ in 0..15 {
            let key = schedule.next().await;
            queue.done(&key);
            order.push(key.name.to_string());
        }
        let at = |name: &str| order.iter().position(|one| one == name).unwrap();
        assert_eq!([at("ready-7"), at("new-0"), at("new-1")], [7, IN_A_ROW as usize, 14], "{order:?}");
        assert_eq!(at("due"), 13, "it was due after those that were ready, and before new-1: {order:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_that_gets_a_better_turn_is_still_looked_at_once() {
        let queue = Queue::default();
        let mut schedule = Schedule::new(queue.clone(), Turn::Usual);
        for name in ["a", "b", "c"] {
            queue.add(key(name));
        }
        queue.add_in(Turn::First, key("c"));
        queue.add(key("c"));
        assert_eq!(queue.len(), 3);
        assert_eq!(schedule.next().await, key("c"));
        // What happens while it is looked at has its own turn.
        queue.add(key("c"));
        queue.add_in(Turn::First, key("c"));
        queue.done(&key("c"));
        for name in ["c", "a", "b"] {
            let next = schedule.next().await;
            queue.done(&next);
            assert_eq!(next, key(name));
        }
        assert!(queue.is_empty());
    }
}
