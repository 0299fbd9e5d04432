//! Several routes of a package as the engine's one.

use crate::{
    engine::{observed::Acknowledged, share::Share},
    traffic::{hash, read::Written},
};

/// One live route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
    /// Its generation.
    pub generation: u64,
    /// What is written into it; see [`super::read::written`].
    pub written: Written,
    /// What its routers say; see [`super::acknowledge::acknowledged`].
    pub acknowledged: Acknowledged,
}

/// All routes of a package together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Combined {
    /// Another one after each change of any of them.
    pub version: u64,
    /// Grows with each change of the spec of any of them, while they are the same routes.
    pub generation: u64,
    /// Another one where a route was deleted, added, or made anew.
    pub lineage: u64,
    /// The largest share of the candidate in any of them.
    pub split: Share,
    /// The smallest share of the candidate in any of them.
    pub least: Share,
    /// Whether the candidate's backend reference is wherever it should be. Where it is not and `split` is nothing, the
    /// routes are not there yet as far as the engine is concerned: they must be written before a share can be raised.
    pub complete: bool,
    /// What all routers together say.
    pub acknowledged: Acknowledged,
}

/// The routes together, in whatever order they are given; none where there is none.
pub fn combine(routes: &[Member]) -> Option<Combined> {
    let mut routes: Vec<&Member> = routes.iter().collect();
    routes.sort_by(|left, right| left.uid.cmp(&right.uid));
    let generation = routes.iter().fold(0_u64, |sum, route| sum.saturating_add(route.generation));
    Some(Combined {
        version: hash::over(routes.iter().flat_map(|route| [route.uid.as_str(), route.resource_version.as_str()])),
        generation,
        lineage: hash::over(routes.iter().map(|route| route.uid.as_str())),
        split: routes.iter().map(|route| route.written.most).max()?,
        least: routes.iter().map(|route| route.written.least).min()?,
        complete: routes.iter().all(|route| route.written.complete),
        acknowledged: acknowledged(&routes, generation),
    })
}

/// One refusal is told first, one silence keeps all waiting.
fn acknowledged(routes: &[&Member], generation: u64) -> Acknowledged {
    let refused = routes.iter().find_map(|route| match &route.acknowledged {
        Acknowledged::Refused(why) => Some(why),
        Acknowledged::At(_) | Acknowledged::Silent => None,
    });
    let all = || routes.iter().all(|route| route.acknowledged == Acknowledged::At(route.generation));
    match refused {
        Some(why) => Acknowledged::Refused(why.clone()),
        None if all() => Acknowledged::At(generation),
        None => Acknowledged::Silent,
    }
}
