//! One encrypted value, and what counts of a plain one in the code over a whole file.

use aes_gcm::{
    AesGcm, KeyInit, Nonce,
    aead::{Aead, Payload, consts::U32},
    aes::Aes256,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use granit_parser::{ScalarStyle, Tag as YamlTag};
use serde_json::Value;

use crate::gitops::scalar::Scalar;

/// How every encrypted value begins.
pub const PREFIX: &str = "ENC[AES256_GCM,";

/// The key of a file's values.
pub type DataKey = [u8; 32];

/// What was encrypted.
#[derive(Clone, PartialEq)]
pub enum Plain {
    /// A text, bytes or a moment.
    Text(String),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// No value at all.
    Comment,
}

const FORM: &str =
    "this value has to be encrypted by the file's own rules, and is not in the form of SOPS: encrypt the file again";
const DAMAGED: &str = "this value is damaged, or was moved from another place: encrypt the file again";

/// What an encrypted value stands for. `path` are the keys that lead to it.
///
/// # Errors
/// Why not; the value is not quoted.
pub fn decrypt(text: &str, key: &DataKey, place: &str) -> Result<Plain, &'static str> {
    let (data, kind) = open(text, key, place)?;
    let text = String::from_utf8(data).map_err(|_| "this value is not UTF-8: write it as base64 under `data`")?;
    let other = "what was encrypted is not of the type that stands beside it: encrypt the file again";
    match kind {
        "str" | "bytes" | "time" => Ok(Plain::Text(text)),
        "int" => text.parse().map(Plain::Int).map_err(|_| other),
        "float" => text.parse().ok().filter(|value: &f64| value.is_finite()).map(Plain::Float).ok_or(other),
        "bool" => match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Plain::Bool(true)),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Plain::Bool(false)),
            _ => Err(other),
        },
        "comment" => Ok(Plain::Comment),
        _ => Err("this value is of a type that is not known: encrypt the file with a version 3 of SOPS"),
    }
}

fn open<'t>(text: &'t str, key: &DataKey, place: &str) -> Result<(Vec<u8>, &'t str), &'static str> {
    let inside = text.strip_prefix(PREFIX).and_then(|text| text.strip_suffix(']')).ok_or(FORM)?;
    let mut parts = inside.split(',');
    let mut part = |name: &str| parts.next()?.strip_prefix(name)?.strip_prefix(':');
    let (data, iv, tag, kind) = (part("data"), part("iv"), part("tag"), part("type"));
    let (Some(data), Some(iv), Some(tag), Some(kind), None) = (data, iv, tag, kind, parts.next()) else {
        return Err(FORM);
    };
    let bytes = |text: &str| BASE64_STANDARD.decode(text).map_err(|_| FORM);
    let (mut data, iv, tag) = (bytes(data)?, bytes(iv)?, bytes(tag)?);
    if iv.len() != 32 || tag.len() != 16 {
        return Err(FORM);
    }
    data.extend(tag);
    let nonce = Nonce::<U32>::try_from(iv.as_slice()).map_err(|_| FORM)?;
    let cipher = AesGcm::<Aes256, U32>::new(key.into());
    let plain = cipher.decrypt(&nonce, Payload { msg: &data, aad: place.as_bytes() }).map_err(|_| DAMAGED)?;
    Ok((plain, kind))
}

impl Plain {
    /// It as a value of an object; none for a comment.
    ///
    /// # Errors
    /// It is a number that JSON cannot say.
    pub fn into_value(self) -> Result<Option<Value>, String> {
        match self {
            Self::Text(text) => Ok(Some(text.into())),
            Self::Int(value) => Ok(Some(value.into())),
            Self::Float(value) => Scalar::Float(value).into_value().map(Some),
            Self::Bool(value) => Ok(Some(value.into())),
            Self::Comment => Ok(None),
        }
    }

    /// What counts of it.
    pub fn counted(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Bool(true) => "True".to_owned(),
            Self::Bool(false) => "False".to_owned(),
            Self::Comment => String::new(),
        }
    }
}

/// A scalar as SOPS reads it, by the rules of the parser that it is built with: unlike `kubectl`, `yes` is a text there. None
/// for null.
pub fn as_sops_reads(text: &str, style: ScalarStyle, tag: Option<&YamlTag>) -> Option<Plain> {
    let as_text = || Some(Plain::Text(text.to_owned()));
    if style != ScalarStyle::Plain || tag.is_some() {
        return as_text();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => None,
        "true" | "True" | "TRUE" => Some(Plain::Bool(true)),
        "false" | "False" | "FALSE" => Some(Plain::Bool(false)),
        _ if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) => as_text(),
        _ => moment(text).map(Plain::Text).or_else(|| number(text)).or_else(as_text),
    }
}

fn number(text: &str) -> Option<Plain> {
    let digits = text.replace('_', "");
    if let Some(whole) = whole(&digits) {
        return Some(Plain::Int(whole));
    }
    let is_decimal = digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    digits.parse().ok().filter(|value: &f64| is_decimal && value.is_finite()).map(Plain::Float)
}

fn whole(digits: &str) -> Option<i64> {
    let (sign, rest) = match digits.as_bytes().first()? {
        b'-' => ("-", &digits[1..]),
        b'+' => ("", &digits[1..]),
        _ => ("", digits),
    };
    let lower = rest.to_ascii_lowercase();
    let (rest, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (lower.as_str(), 10),
    };
    if rest.starts_with(['+', '-']) { None } else { i64::from_str_radix(&format!("{sign}{rest}"), base).ok() }
}

/// A day without quotes, which counts as its first moment, or a moment in the form that it counts in.
fn moment(text: &str) -> Option<String> {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" => Some(format!("{text}T00:00:00Z")),
        "0000-00-00T00:00:00Z" => Some(text.to_owned()),
        _ => None,
    }
}
