//! On which terms a run was started: who writes what it brings, and where requests for it come from.
//!
//! They are part of its snapshot, like its plan and its checks. A Profile can be changed while a run is under way, and even
//! be deleted and made anew with another account: then neither the writer nor the hosts change under the run, and what was
//! changed counts for the next one.

use serde::{Deserialize, Serialize};

use crate::{
    api::{
        deployment::{DeploymentSpec, DeploymentTraffic},
        profile::{Gateway, ProfileSpec},
    },
    engine::{plan::Reach, stage::Stage, state::State},
    rollout::{aim::account, record::Record},
};

/// Whether a route says what terms ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// One does, or none is asked for.
    Written,
    /// None does yet.
    Open,
}

/// What a run keeps of its Profile beside plan and checks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Terms {
    /// The service account that its objects are written as.
    pub account: String,
    /// The gateway for which a route is made, with its host names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// What the Deployment wants otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<DeploymentTraffic>,
}

impl Terms {
    /// What is wanted now.
    pub fn of(deployment: &DeploymentSpec, profile: Option<&ProfileSpec>) -> Self {
        Self {
            account: account(profile).to_owned(),
            gateway: profile.and_then(|profile| profile.traffic.as_ref()?.gateway.clone()),
            traffic: deployment.traffic.clone(),
        }
    }

    /// The terms after a decision: those of the run that it begins, else those that there are.
    ///
    /// What nothing was written by may still be exchanged, as the remedy for what stands against it: the account while a run
    /// waits for its start, the hosts until a route has them.
    pub fn after(prior: &Record, state: &State, (wish, route): (Option<&Self>, Route)) -> Option<Self> {
        let run = state.run.as_ref().filter(|run| run.plan.reach == Reach::Deploy);
        let (Some(run), Some(wish)) = (run, wish) else { return prior.terms.clone() };
        let begun = prior.state.run.as_ref().map(|run| run.number) != Some(run.number);
        match &prior.terms {
            _ if begun => Some(wish.clone()),
            terms if run.outcome.is_some() => terms.clone(),
            None => Some(wish.clone()),
            Some(terms) => {
                let writer = if run.stage() == Some(&Stage::Admit) { wish } else { terms };
                // Whether there is a gateway at all is part of the plan.
                let is_open = route == Route::Open && terms.gateway.is_some() == wish.gateway.is_some();
                let Self { gateway, traffic, .. } = if is_open { wish } else { terms }.clone();
                Some(Self { account: writer.account.clone(), gateway, traffic })
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        engine::{
            moment::Moment,
            observed::{Observed, Revision, Seen},
            phase::Phase,
            plan::{Ability, Capabilities},
            state::Outcome,
            step::{Look, step},
        },
        rollout::plan::{Given, Intent, Routing, intend},
    };

    fn intent(profile: &Value, deployment: &Value) -> Intent {
        let mut spec = json!({"package": {"name": "web", "version": "1.0.0"}, "profile": "production"});
        spec.as_object_mut().unwrap().extend(deployment.as_object().unwrap().clone());
        let mut environment = json!({"environment": "production"});
        environment.as_object_mut().unwrap().extend(profile.as_object().unwrap().clone());
        let all = Capabilities { traffic: Ability::Can, pause: Ability::Can, reverse: Ability::Can };
        let given = Given { routing: Routing::Instances, capabilities: all, desired: 1, alone: None };
        intend(&serde_json::from_value(spec).unwrap(), &serde_json::from_value(environment).unwrap(), given).unwrap()
    }

    fn behind(host: &str) -> Value {
        json!({"traffic": {"gateway": {"parentRefs": [{"name": "public"}], "hostnames": [host]}}})
    }

    /// The record after a look at which this is wanted, and what is missing.
    fn look(prior: &Record, intent: &Intent, missing: &[&str], route: Route) -> Record {
        let absent = || Seen::Absent;
        let observed = Observed {
            revisions: Seen::Absent,
            stable: absent(),
            candidate: absent(),
            route: Seen::Absent,
            missing: Seen::Present(missing.iter().map(ToString::to_string).collect()),
            trouble: None,
            measured: Vec::new(),
            commands: Vec::new(),
        };
        let wanted = intent.wanted(Revision("bcdfg".to_owned()), 1);
        let before = Some(&prior.state).filter(|_| prior.terms.is_some() || prior.state.run.is_some());
        let state = step(Look { wanted: &wanted, prior: before, observed: &observed, now: Moment(1_000) }).state;
        let terms = Terms::after(prior, &state, (Some(&intent.terms), route));
        Record { state, terms, ..prior.clone() }
    }

    #[test]
    fn a_run_keeps_its_hosts_and_its_account_and_the_next_one_takes_the_new_ones() {
        let first = intent(&behind("first.example.test"), &json!({}));
        let under_way = look(&Record::default(), &first, &[], Route::Open);
        assert_eq!(under_way.terms, Some(first.terms.clone()));

        let mut moved = behind("second.example.test");
        moved["target"] = json!({"serviceAccount": "other"});
        let second = intent(&moved, &json!({}));
        assert_ne!(first.terms, second.terms);
        let later = look(&under_way, &second, &[], Route::Written);
        assert_eq!(later.state.run.as_ref().map(|run| run.number), under_way.state.run.as_ref().map(|run| run.number));
        assert_eq!(later.terms, Some(first.terms.clone()));
        // A Profile that is gone changes nothing either.
        assert_eq!(Terms::after(&later, &later.state, (None, Route::Open)), Some(first.terms.clone()));

        let again = intent(&moved, &json!({"requestId": "2"}));
        let mut ended = later.clone();
        let run = ended.state.run.as_mut().unwrap();
        run.outcome = Some(Outcome { phase: Phase::Failed, at: Moment(2_000), failure: None });
        let next = look(&ended, &again, &[], Route::Written);
        assert_ne!(next.state.run.as_ref().map(|run| run.number), later.state.run.as_ref().map(|run| run.number));
        assert_eq!(next.terms, Some(second.terms));
    }

    #[test]
    fn what_was_not_written_by_yet_can_be_exchanged() {
        let first = intent(&behind("first.example.test"), &json!({}));
        let mut moved = behind("second.example.test");
        moved["target"] = json!({"serviceAccount": "other"});
        let second = intent(&moved, &json!({}));
        let waits = look(&Record::default(), &first, &["an account"], Route::Open);
        let still = look(&waits, &second, &["an account"], Route::Written);
        assert_eq!(still.terms, Some(Terms { account: "other".to_owned(), ..first.terms.clone() }));
        assert_eq!(look(&waits, &second, &["an account"], Route::Open).terms, Some(second.terms.clone()));

        let writes = look(&Record::default(), &first, &[], Route::Open);
        let exchanged = look(&writes, &second, &[], Route::Open);
        assert_eq!(exchanged.terms, Some(Terms { account: first.terms.account.clone(), ..second.terms }));
        // A run that divides traffic by a route keeps having one.
        let none = intent(&json!({}), &json!({}));
        assert_eq!(look(&writes, &none, &[], Route::Open).terms, Some(first.terms));
    }

    #[test]
    fn what_is_only_rehearsed_is_on_no_terms() {
        let first = intent(&behind("first.example.test"), &json!({}));
        let runs = look(&Record::default(), &first, &[], Route::Open);
        let rehearsal = intent(&behind("second.example.test"), &json!({"dryRun": true}));
        assert_eq!(look(&runs, &rehearsal, &[], Route::Written).terms, Some(first.terms));
    }
}
