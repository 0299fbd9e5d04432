//! Percentages, lengths of time and versions: what is read is what is written, and the schema accepts what the program
//! can read.

use kube::core::cel::Validator;
use landfall::api::{
    amount::Amount,
    percent::Percent,
    time_span::TimeSpan,
    version::{Version, VersionRange},
};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Whether the schema of a value accepts it: its bounds and its rules.
fn schema_accepts<T: JsonSchema>(value: &Value) -> bool {
    let schema = T::json_schema(&mut SchemaGenerator::default()).to_value();
    let bounded = jsonschema::validator_for(&schema).unwrap().is_valid(value);
    bounded && Validator::new().validate(&schema, value, None).is_ok()
}

/// Whether the program reads it. What the schema accepts must be readable, or one object would stop a whole watch.
fn judge<T: JsonSchema + DeserializeOwned>(value: &Value) -> bool {
    let (accepted, read) = (schema_accepts::<T>(value), serde_json::from_value::<T>(value.clone()));
    assert!(!accepted || read.is_ok(), "the schema accepts {value}, and the program cannot read it: {:?}", read.err());
    accepted
}

#[test]
fn every_basis_point_is_written_and_read_back() {
    for points in 0..=10_000 {
        let percent = Percent::from_basis_points(points).unwrap();
        let written = serde_json::to_value(percent).unwrap();
        assert_eq!(serde_json::from_value::<Percent>(written.clone()).unwrap(), percent, "{written}");
        assert_eq!(percent.basis_points() + percent.rest().basis_points(), 10_000);
        assert_eq!(percent.to_string().parse(), Ok(percent));
    }
    // The rules of every one would take half a minute.
    for points in (0..=10_000).step_by(97).chain([10_000]) {
        assert!(judge::<Percent>(&json!(Percent::from_basis_points(points).unwrap())), "{points}");
    }
    assert_eq!(Percent::from_basis_points(10_001), None);
    assert_eq!(Percent::from_basis_points(-1), None);
    assert_eq!(Percent::FULL.saturating_add(Percent::FULL), Percent::FULL);
}

#[test]
fn a_percentage_has_at_most_two_decimals_and_is_no_float() {
    for good in [json!(0), json!(100), json!("0.5"), json!("0.50%"), json!("100.00"), json!("7%"), json!("99.99")] {
        assert!(judge::<Percent>(&good), "{good}");
    }
    for bad in
        [json!(-1), json!(101), json!("0.555"), json!("100.01"), json!(""), json!("%"), json!("1e1"), json!(".5")]
    {
        assert!(!judge::<Percent>(&bad), "{bad}");
        assert!(serde_json::from_value::<Percent>(bad.clone()).is_err(), "{bad}");
    }
    assert!(serde_json::from_value::<Percent>(json!(0.5)).is_err());
}

#[test]
fn a_length_of_time_is_written_with_the_largest_units_and_read_back() {
    for (text, written, millis) in [
        ("300s", "5m", 300_000),
        ("5m", "5m", 300_000),
        ("1h30m", "1h30m", 5_400_000),
        ("90m", "1h30m", 5_400_000),
        ("250ms", "250ms", 250),
        ("1d1ms", "1d1ms", 86_400_001),
        ("0s", "0s", 0),
    ] {
        assert!(judge::<TimeSpan>(&json!(text)), "{text}");
        let span: TimeSpan = text.parse().unwrap();
        assert_eq!((span.to_string().as_str(), span.as_duration().as_millis()), (written, millis), "{text}");
        assert_eq!(written.parse(), Ok(span));
    }
    for bad in ["", "5", "s", "-5s", "5 s", "1.5h", "5m1h", "1s1s", "5x", "12345678s"] {
        assert!(!judge::<TimeSpan>(&json!(bad)), "{bad}");
        assert!(bad.parse::<TimeSpan>().is_err(), "{bad}");
    }
    for seed in 0..500 {
        let span = TimeSpan::from_secs(seed * seed * 7919);
        assert_eq!(span.to_string().parse(), Ok(span));
    }
}

#[test]
fn a_version_is_lower_case_semver_without_build_metadata() {
    for good in ["1.0.0", "0.0.0", "10.20.30", "2.0.0-rc.1", "1.0.0-alpha-1.x", "1.0.0-0a"] {
        assert!(judge::<Version>(&json!(good)), "{good}");
        assert_eq!(good.parse::<Version>().unwrap().to_string(), good);
    }
    for bad in ["1", "1.0", "v1.0.0", "1.0.0+b", "1.0.0-RC", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0-a..b", "1.0.0 ", ""]
    {
        assert!(!judge::<Version>(&json!(bad)), "{bad}");
        assert!(bad.parse::<Version>().is_err(), "{bad}");
    }
    for long in [format!("1.0.{}", "9".repeat(30)), format!("1.0.0-{}", "a".repeat(40))] {
        assert!(!judge::<Version>(&json!(long)));
        assert!(long.parse::<Version>().is_err());
    }
}

#[test]
fn a_range_holds_pre_releases_only_if_it_names_one() {
    let range = VersionRange::new(">=1.2, <2");
    let matches = |version: &str| range.matches(&version.parse().unwrap()).unwrap();
    assert_eq!(
        [matches("1.1.9"), matches("1.2.0"), matches("2.0.0"), matches("1.3.0-rc.1")],
        [false, true, false, false]
    );
    let named = VersionRange::new(">=1.3.0-rc.1");
    assert!(named.matches(&"1.3.0-rc.2".parse().unwrap()).unwrap());
    let error = VersionRange::new("about 1").matches(&"1.0.0".parse().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"about 1\" is not a range of versions: write one such as ~1.4, ^1.4.2 or >=1.2, <2"
    );
    assert!(schema_accepts::<VersionRange>(&json!("~1.4")));
    assert!(!schema_accepts::<VersionRange>(&json!("1.4 || 1.5")));
}

#[test]
fn an_amount_is_a_number_of_instances_or_a_share_with_a_sign() {
    let ten = Percent::from_basis_points(1000).unwrap();
    for (good, amount) in
        [(json!(2), Amount::Count(2)), (json!("2"), Amount::Count(2)), (json!("10%"), Amount::Share(ten))]
    {
        assert!(judge::<Amount>(&good), "{good}");
        assert_eq!(serde_json::from_value::<Amount>(good).unwrap(), amount);
        assert_eq!(serde_json::from_value::<Amount>(json!(amount)).unwrap(), amount);
    }
    for bad in [json!(-1), json!(1_000_000), json!("101%"), json!("%"), json!("1.5"), json!(""), json!("0.555%")] {
        assert!(!judge::<Amount>(&bad), "{bad}");
        assert!(serde_json::from_value::<Amount>(bad.clone()).is_err(), "{bad}");
    }
}
