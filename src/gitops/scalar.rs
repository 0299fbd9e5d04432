//! What a scalar of YAML stands for, by the rules of YAML 1.1 as `kubectl` has them.
//!
//! `yes` is a boolean, `0644` is octal, `1_000` is a thousand, and a number that is whole is whole however it is written.

use base64::{Engine, prelude::BASE64_STANDARD};
use granit_parser::{ScalarStyle, Tag};
use serde_json::{Number, Value};

/// What a scalar stands for.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// `<<`, which as a key takes other maps in.
    Merge,
}

impl Scalar {
    /// It as a value.
    ///
    /// # Errors
    /// It is a number that JSON cannot say.
    pub fn into_value(self) -> Result<Value, String> {
        Ok(match self {
            Self::Null => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            Self::Float(value) => float(value)?,
            Self::Text(value) => value.into(),
            Self::Merge => "<<".into(),
        })
    }

    /// It as the key of a map; none where it cannot be one.
    pub fn into_key(self) -> Option<String> {
        match self {
            Self::Text(key) => Some(key),
            Self::Null => None,
            Self::Merge => Some("<<".to_owned()),
            other => other.into_value().ok().map(|value| value.to_string()),
        }
    }
}

/// A number as it is after it was written and read as JSON: whole where its digits are.
fn float(value: f64) -> Result<Value, String> {
    let whole = format!("{value:.0}").parse::<i64>().ok().filter(|_| value.fract() == 0.0);
    match whole {
        Some(whole) => Ok(whole.into()),
        None => Number::from_f64(value).map(Value::Number).ok_or_else(|| "a number must be finite".to_owned()),
    }
}

/// Reads a scalar.
///
/// # Errors
/// The scalar is not what its tag says.
pub fn read(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Scalar, String> {
    let Some(tag) = tag else {
        return Ok(if style == ScalarStyle::Plain { plain(text) } else { Scalar::Text(text.to_owned()) });
    };
    // Tags of others have no meaning here.
    let Some(name) = tag.suffix_in_namespace("tag:yaml.org,2002:") else { return Ok(Scalar::Text(text.to_owned())) };
    let wrong = || "the value is not what its tag says".to_owned();
    match (&*name, plain(text)) {
        ("str" | "timestamp", _) => Ok(Scalar::Text(text.to_owned())),
        ("binary", _) => binary(text).map(Scalar::Text).ok_or_else(wrong),
        ("float", Scalar::Int(value)) => value.to_string().parse().map(Scalar::Float).map_err(|_| wrong()),
        ("int", scalar @ Scalar::Int(_))
        | ("float", scalar @ Scalar::Float(_))
        | ("bool", scalar @ Scalar::Bool(_))
        | ("null", scalar @ Scalar::Null)
        | ("merge", scalar @ Scalar::Merge) => Ok(scalar),
        _ => Err(wrong()),
    }
}

fn binary(text: &str) -> Option<String> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    String::from_utf8(BASE64_STANDARD.decode(compact).ok()?).ok()
}

/// A scalar without quotes and without a tag.
fn plain(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Scalar::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Scalar::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => Scalar::Float(f64::NEG_INFINITY),
        "<<" => Scalar::Merge,
        _ => number(text).unwrap_or_else(|| Scalar::Text(text.to_owned())),
    }
}

fn number(text: &str) -> Option<Scalar> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let digits = text.replace('_', "");
    whole(&digits).or_else(|| decimal(&digits))
}

/// A whole number, in the base that its prefix says.
fn whole(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let lower = digits.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let small = i64::from_str_radix(&format!("{sign}{digits}"), base).map(Scalar::Int);
    // A larger one counts as any other number does.
    let large = || u64::from_str_radix(digits, base).ok().filter(|_| sign.is_empty())?.to_string().parse().ok();
    small.ok().or_else(|| large().map(Scalar::Float))
}

/// Digits with at most one point and an exponent.
fn decimal(text: &str) -> Option<Scalar> {
    let digits = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-');
    if !text.chars().all(digits) {
        return None;
    }
    // What is too large for a number is a text there, and infinite here.
    text.parse().ok().filter(|value: &f64| value.is_finite()).map(Scalar::Float)
}
