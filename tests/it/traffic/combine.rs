//! Several routes as one.

use landfall::{
    engine::observed::Acknowledged,
    traffic::{
        combine::{Combined, Member, combine},
        read::Written,
    },
};

use super::points;

fn member(uid: &str, generation: u64, share: u32) -> Member {
    Member {
        uid: uid.to_owned(),
        resource_version: "1".to_owned(),
        generation,
        written: Written { least: points(share), most: points(share), complete: true },
        acknowledged: Acknowledged::At(generation),
    }
}

fn both(left: Member, right: Member) -> Combined {
    combine(&[left, right]).unwrap()
}

#[test]
fn no_route_is_none_and_one_is_itself() {
    assert_eq!(combine(&[]), None);
    let one = combine(&[member("a", 7, 2000)]).unwrap();
    let Combined { version: _, generation, lineage: _, split, least, complete, acknowledged } = one;
    assert_eq!((generation, split, least, complete), (7, points(2000), points(2000), true));
    assert_eq!(acknowledged, Acknowledged::At(7));
}

#[test]
fn the_split_is_the_largest_share_and_least_the_smallest() {
    let mut wide = member("b", 4, 0);
    wide.written = Written { least: points(100), most: points(3000), complete: false };
    let combined = both(member("a", 3, 2000), wide);
    assert_eq!((combined.least, combined.split, combined.complete), (points(100), points(3000), false));
    assert_eq!(combined.generation, 7);
}

#[test]
fn all_have_to_acknowledge_and_a_refusal_is_told_first() {
    let say = |left: Acknowledged, right: Acknowledged| {
        let one = Member { acknowledged: left, ..member("a", 3, 0) };
        both(one, Member { acknowledged: right, ..member("b", 4, 0) }).acknowledged
    };
    let no = || Acknowledged::Refused("no".to_owned());
    assert_eq!(say(Acknowledged::At(3), Acknowledged::At(4)), Acknowledged::At(7));
    assert_eq!(say(Acknowledged::At(3), Acknowledged::Silent), Acknowledged::Silent);
    assert_eq!(say(Acknowledged::At(2), Acknowledged::At(4)), Acknowledged::Silent);
    assert_eq!(say(Acknowledged::Silent, no()), no());
    assert_eq!(say(no(), Acknowledged::At(4)), no());
}

#[test]
fn the_version_tells_every_change_and_the_lineage_only_other_routes() {
    let before = both(member("a", 3, 0), member("b", 4, 0));
    assert_eq!(before, both(member("b", 4, 0), member("a", 3, 0)), "the order means nothing");
    let changed = both(Member { resource_version: "2".to_owned(), ..member("a", 3, 0) }, member("b", 4, 0));
    assert_ne!(changed.version, before.version);
    assert_eq!(changed.lineage, before.lineage);
    let anew = both(member("c", 3, 0), member("b", 4, 0));
    assert!(anew.version != before.version && anew.lineage != before.lineage);
    assert_ne!(combine(&[member("a", 3, 0)]).unwrap().lineage, before.lineage);
}

#[test]
fn generations_beyond_every_number_stay_the_largest_one() {
    assert_eq!(both(member("a", u64::MAX, 0), member("b", 2, 0)).generation, u64::MAX);
}
