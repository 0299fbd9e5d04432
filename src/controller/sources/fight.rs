//! Whether somebody takes an object back again and again: after three times in ten minutes it is left to them for as long.

use crate::{
    engine::moment::Moment,
    gitops::drift::{PERIOD, contested},
};

/// What is remembered of one object that was set back.
#[derive(Debug, Default)]
pub struct Fight {
    /// When it was set back, as far as it matters.
    set_back: Vec<Moment>,
    /// Until when it is left alone.
    left_until: Option<Moment>,
    /// Whether people were told.
    told: bool,
}

/// Whether people know of a fight already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// They do.
    Known,
    /// They have to be told.
    New,
}

impl Fight {
    /// Whether it has been set back too often to do it once more.
    pub fn is_contested(&mut self, now: Moment) -> bool {
        self.set_back.retain(|moment| moment.after(PERIOD) > now);
        let contested = contested(&self.set_back, now);
        self.told &= contested;
        contested
    }

    /// Notes that it was set back.
    pub fn note(&mut self, now: Moment) {
        self.set_back.push(now);
    }

    /// Leaves it alone from now on. Says whether that is news.
    pub fn leave(&mut self, now: Moment) -> News {
        self.left_until = Some(now.after(PERIOD));
        if std::mem::replace(&mut self.told, true) { News::Known } else { News::New }
    }

    /// When it is looked at again, if it is left alone now.
    pub fn left_until(&self, now: Moment) -> Option<Moment> {
        self.left_until.filter(|until| *until > now)
    }

    /// Looks at it again at once, whatever was before.
    pub fn look_again(&mut self) {
        self.left_until = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minute(minute: u64) -> Moment {
        Moment(1_700_000_000_000 + minute * 60_000)
    }

    fn after(minutes: &[u64]) -> Fight {
        let mut fight = Fight::default();
        for at in minutes {
            fight.note(minute(*at));
        }
        fight
    }

    #[test]
    fn an_object_that_was_set_back_three_times_in_ten_minutes_is_contested() {
        assert!(!after(&[]).is_contested(minute(0)));
        assert!(!after(&[0, 1]).is_contested(minute(2)));
        assert!(after(&[0, 1, 2]).is_contested(minute(2)));
        assert!(after(&[0, 5, 9]).is_contested(minute(9)));
        assert!(!after(&[0, 5, 9]).is_contested(minute(10)), "the first one is ten minutes ago");
        assert!(!after(&[0, 6, 12, 18]).is_contested(minute(18)), "never three within ten minutes");
    }

    #[test]
    fn a_contested_object_is_left_alone_for_ten_minutes_and_people_are_told_once() {
        let mut fight = after(&[0, 1, 2]);
        assert!(fight.is_contested(minute(2)));
        assert_eq!(fight.leave(minute(2)), News::New);
        assert_eq!(fight.left_until(minute(2)), Some(minute(12)));
        assert_eq!(fight.left_until(minute(11)), Some(minute(12)));
        fight.look_again();
        assert_eq!(fight.left_until(minute(3)), None);
        assert!(fight.is_contested(minute(3)), "a new commit does not end it");
        assert_eq!(fight.leave(minute(3)), News::Known);
        assert_eq!(fight.left_until(minute(13)), None);
        assert!(!fight.is_contested(minute(13)), "it is set back once more");
        for at in 13..16 {
            fight.note(minute(at));
        }
        assert!(fight.is_contested(minute(16)));
        assert_eq!(fight.leave(minute(16)), News::New, "another fight");
    }
}
