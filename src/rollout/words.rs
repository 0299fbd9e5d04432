//! The words that the interface and the engine both have, each way.
//!
//! Both keep their own: the interface must be able to read words that this program does not know, and the engine must
//! not know the interface. The matches name every word, so one that is added on either side does not compile before it
//! has a place here.

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use crate::{
    api::{command::Verb as ApiVerb, deployment_status::Phase as ApiPhase, percent::Percent, version::Version},
    engine::{command::Verb, moment::Moment, phase::Phase, share::Share, state::Code},
};

/// The engine's phase as a status has it.
pub const fn phase(phase: Phase) -> ApiPhase {
    match phase {
        Phase::Pending => ApiPhase::Pending,
        Phase::Scheduled => ApiPhase::Scheduled,
        Phase::Validating => ApiPhase::Validating,
        Phase::Building => ApiPhase::Building,
        Phase::Uploading => ApiPhase::Uploading,
        Phase::Progressing => ApiPhase::Progressing,
        Phase::Paused => ApiPhase::Paused,
        Phase::Verifying => ApiPhase::Verifying,
        Phase::RollingBack => ApiPhase::RollingBack,
        Phase::Succeeded => ApiPhase::Succeeded,
        Phase::Failed => ApiPhase::Failed,
        Phase::Cancelled => ApiPhase::Cancelled,
        Phase::RolledBack => ApiPhase::RolledBack,
        Phase::Stopped => ApiPhase::Stopped,
    }
}

/// A status's phase as the engine has it; none for a word of another version of the program.
pub const fn phase_of(phase: ApiPhase) -> Option<Phase> {
    Some(match phase {
        ApiPhase::Pending => Phase::Pending,
        ApiPhase::Scheduled => Phase::Scheduled,
        ApiPhase::Validating => Phase::Validating,
        ApiPhase::Building => Phase::Building,
        ApiPhase::Uploading => Phase::Uploading,
        ApiPhase::Progressing => Phase::Progressing,
        ApiPhase::Paused => Phase::Paused,
        ApiPhase::Verifying => Phase::Verifying,
        ApiPhase::RollingBack => Phase::RollingBack,
        ApiPhase::Succeeded => Phase::Succeeded,
        ApiPhase::Failed => Phase::Failed,
        ApiPhase::Cancelled => Phase::Cancelled,
        ApiPhase::RolledBack => Phase::RolledBack,
        ApiPhase::Stopped => Phase::Stopped,
        ApiPhase::Unknown => return None,
    })
}

/// The engine's verb as annotations and the status have it.
pub const fn verb(verb: Verb) -> ApiVerb {
    match verb {
        Verb::Abort => ApiVerb::Abort,
        Verb::Stop => ApiVerb::Stop,
        Verb::Cancel => ApiVerb::Cancel,
        Verb::Pause => ApiVerb::Pause,
        Verb::Resume => ApiVerb::Resume,
        Verb::Promote => ApiVerb::Promote,
        Verb::Skip => ApiVerb::Skip,
        Verb::Rollback => ApiVerb::Rollback,
        Verb::Retry => ApiVerb::Retry,
        Verb::Restart => ApiVerb::Restart,
    }
}

/// A verb of an annotation as the engine has it; none for a word of another version of the program.
pub const fn verb_of(verb: ApiVerb) -> Option<Verb> {
    Some(match verb {
        ApiVerb::Abort => Verb::Abort,
        ApiVerb::Stop => Verb::Stop,
        ApiVerb::Cancel => Verb::Cancel,
        ApiVerb::Pause => Verb::Pause,
        ApiVerb::Resume => Verb::Resume,
        ApiVerb::Promote => Verb::Promote,
        ApiVerb::Skip => Verb::Skip,
        ApiVerb::Rollback => Verb::Rollback,
        ApiVerb::Retry => Verb::Retry,
        ApiVerb::Restart => Verb::Restart,
        ApiVerb::Unknown => return None,
    })
}

/// The word for a failure that programs match on.
pub const fn code(code: Code) -> &'static str {
    match code {
        Code::Aborted => "ABORTED",
        Code::Cancelled => "CANCELLED",
        Code::CheckFailed => "CHECK_FAILED",
        Code::ProgressDeadline => "PROGRESS_DEADLINE",
        Code::Timeout => "TIMEOUT",
        Code::PodsFailed => "PODS_FAILED",
        Code::Superseded => "SUPERSEDED",
        Code::Stopped => "STOPPED",
    }
}

/// A share of the traffic as a spec has it.
pub fn share(percent: Percent) -> Share {
    u32::try_from(percent.basis_points()).ok().and_then(Share::of_points).unwrap_or(Share::NONE)
}

/// A share of the traffic as a status has it.
pub fn percent(share: Share) -> Percent {
    i32::try_from(share.points()).ok().and_then(Percent::from_basis_points).unwrap_or(Percent::ZERO)
}

/// A moment as an object has it: to the second, which is all that Kubernetes writes. A status that is read back is then
/// the one that was written.
pub fn time(moment: Moment) -> Time {
    let latest = Timestamp::MAX.as_second();
    let seconds = i64::try_from(moment.0 / 1000).unwrap_or(latest).min(latest);
    Time(Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX))
}

/// A time of an object as a moment; the first one for what lies before it.
pub fn moment(time: &Time) -> Moment {
    Moment(u64::try_from(time.0.as_millisecond()).unwrap_or_default())
}

/// The version of a package, from what is shown of it: without the mark of its overrides.
pub fn version_of(shown: &str) -> Option<Version> {
    shown.split('+').next().and_then(|plain| plain.parse().ok())
}

/// A number for a status.
pub fn number<N: TryInto<i32>>(number: N) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// The first digits of a digest in hexadecimal.
pub fn hexadecimal(digest: &[u8], digits: usize) -> String {
    let nibbles = digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(digits);
    nibbles.filter_map(|nibble| char::from_digit(nibble.into(), 16)).collect()
}

/// A text of at most so many characters. One that is cut says so by its last character.
pub fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_comes_back_from_the_other_side() {
        for known in ApiPhase::ALL {
            assert_eq!(phase_of(*known).map(phase), Some(*known));
        }
        for known in ApiVerb::ALL {
            assert_eq!(verb_of(*known).map(verb), Some(*known));
            assert_eq!(verb_of(*known).map(|verb| verb.to_string()).as_deref(), Some(known.word()));
        }
        assert_eq!((phase_of(ApiPhase::Unknown), verb_of(ApiVerb::Unknown)), (None, None));
    }

    #[test]
    fn both_sides_answer_commands_in_the_same_order() {
        let order: Vec<_> = ApiVerb::ALL.iter().filter_map(|verb| verb_of(*verb)).collect();
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn both_sides_agree_which_phases_are_the_end() {
        for known in ApiPhase::ALL {
            assert_eq!(phase_of(*known).map(Phase::is_terminal), Some(known.is_terminal()));
        }
    }

    #[test]
    fn shares_and_times_come_back() {
        for points in 0..=10_000 {
            let there = Share::of_points(points);
            assert_eq!(there.map(percent).map(share), there);
        }
        assert_eq!(moment(&time(Moment(1_999))), Moment(1_000));
        assert_eq!(moment(&time(Moment(u64::MAX))).0, 253_402_207_200_000);
    }

    #[test]
    fn a_cut_text_fits_and_ends_at_a_character() {
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("äöüß", 3), "äö…");
        assert_eq!(cut("", 0), "");
    }
}
