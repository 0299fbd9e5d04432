//! The signatures of webhooks. Each gives a code of what it covers, and everything is compared in constant time.

use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::{Key, Provider, Refusal, Request, WINDOW};
use crate::engine::moment::Moment;

/// A header with the code of the body in hexadecimal digits, behind a prefix.
pub(super) fn plain(
    request: Request<'_>,
    key: &Key,
    (name, prefix): (&'static str, &str),
) -> Result<[u8; 32], Refusal> {
    let tag = tag(&key.0, &[request.body]).ok_or(Refusal::Unsigned)?;
    let given = request.header(name).unwrap_or_default();
    is_equal(given, &format!("{prefix}{}", hex(&tag))).then_some(tag).ok_or(Refusal::Unsigned)
}

/// The time and the body with a dot between them.
pub(super) fn timed(request: Request<'_>, key: &Key, now: Moment) -> Result<[u8; 32], Refusal> {
    let time = request.header("x-landfall-timestamp").unwrap_or_default();
    let tag = tag(&key.0, &[time.as_bytes(), b".", request.body]).ok_or(Refusal::Unsigned)?;
    let given = request.header("x-landfall-signature").unwrap_or_default();
    if !is_equal(given, &format!("sha256={}", hex(&tag))) {
        return Err(Refusal::Unsigned);
    }
    in_time(time, now).then_some(tag).ok_or(Refusal::OutOfTime)
}

/// Id, time and body with dots between them; the header may have several codes while a secret is changed.
pub(super) fn standard(request: Request<'_>, key: &Key, now: Moment) -> Result<[u8; 32], Refusal> {
    let id = request.header("webhook-id").unwrap_or_default();
    let time = request.header("webhook-timestamp").unwrap_or_default();
    let parts: [&[u8]; 5] = [id.as_bytes(), b".", time.as_bytes(), b".", request.body];
    // A secret with this prefix is the key in base64.
    let decoded = key.0.strip_prefix(b"whsec_").and_then(|text| BASE64_STANDARD.decode(text).ok());
    let decoded = decoded.filter(|key| !key.is_empty());
    let tag = tag(decoded.as_deref().unwrap_or(&key.0), &parts).ok_or(Refusal::Unsigned)?;
    let wanted = format!("v1,{}", BASE64_STANDARD.encode(tag));
    let given = request.header("webhook-signature").unwrap_or_default();
    if !given.split(' ').any(|one| is_equal(one, &wanted)) {
        return Err(Refusal::Unsigned);
    }
    in_time(time, now).then_some(tag).ok_or(Refusal::OutOfTime)
}

/// The secret itself, sent along. It covers nothing, so a repetition is known by the delivery id and the body together.
pub(super) fn token(request: Request<'_>, key: &Key) -> Result<[u8; 32], Refusal> {
    let given = request.header("x-gitlab-token").unwrap_or_default();
    // Digests are compared, so that the time tells nothing of the length either.
    let same = Sha256::digest(given.as_bytes()).ct_eq(&Sha256::digest(&key.0));
    let id = request.delivery(Provider::GitLab).unwrap_or_default();
    let covered = tag(&key.0, &[id.as_bytes(), b".", request.body]).ok_or(Refusal::Unsigned)?;
    bool::from(same).then_some(covered).ok_or(Refusal::Unsigned)
}

fn is_equal(given: &str, wanted: &str) -> bool {
    given.as_bytes().ct_eq(wanted.as_bytes()).into()
}

fn in_time(seconds: &str, now: Moment) -> bool {
    let window = u64::try_from(WINDOW.as_millis()).unwrap_or(u64::MAX);
    let said = seconds.parse::<u64>().ok().and_then(|seconds| seconds.checked_mul(1000));
    said.is_some_and(|said| said.abs_diff(now.0) <= window)
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// None never happens: HMAC takes keys of any length.
fn tag(key: &[u8], parts: &[&[u8]]) -> Option<[u8; 32]> {
    let mut code = Hmac::<Sha256>::new_from_slice(key).ok()?;
    for part in parts {
        code.update(part);
    }
    Some(code.finalize().into_bytes().into())
}
