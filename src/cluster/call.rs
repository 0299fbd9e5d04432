//! One call to the API server: a timeout around it, and its failure in words.
//!
//! The client's own errors print their cause twice and some print the raw output of a credential plugin. Nothing
//! outside this module formats them.

use std::{error::Error as StdError, future::Future, time::Duration};

use kube::client::AuthError;
use thiserror::Error;

/// Why a call to the API server gave no result.
#[derive(Debug, Error)]
pub enum CallError {
    /// The answer did not come in time. Whether the call had an effect is unknown.
    #[error("the API server did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The API server answered, and the answer is no.
    #[error("{message} (HTTP {code} {reason})")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The API server's word for the kind of refusal, for example `Conflict`.
        reason: String,
        /// The API server's sentence.
        message: String,
    },
    /// No connection, or it broke. Whether the call had an effect is unknown.
    #[error("the API server could not be reached")]
    Unreachable(#[source] Box<dyn StdError + Send + Sync>),
    /// The credentials of the cluster configuration could not be used.
    #[error("the credentials for the API server could not be used")]
    Credentials(#[source] Option<AuthError>),
    /// There is more than is read.
    #[error("there are more than {0}, which is more than are listed")]
    TooMany(usize),
    /// The API server answered something this client does not understand.
    #[error("the API server's answer could not be understood")]
    Garbled(#[source] Box<kube::Error>),
}

impl CallError {
    /// One word for the kind of failure, for metrics and conditions: one of [`CallError::REASONS`].
    pub fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut(_) => "TimedOut",
            Self::Refused { .. } => "Refused",
            Self::Unreachable(_) => "Unreachable",
            Self::Credentials(_) => "Credentials",
            Self::TooMany(_) => "TooMany",
            Self::Garbled(_) => "Garbled",
        }
    }

    /// All that [`CallError::reason`] can return.
    pub const REASONS: [&str; 6] = ["TimedOut", "Refused", "Unreachable", "Credentials", "TooMany", "Garbled"];

    /// The object is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Refused { code: 404, .. })
    }

    /// The account may not do this.
    pub fn is_forbidden(&self) -> bool {
        matches!(self, Self::Refused { code: 403, .. })
    }

    /// The account may not do this, or nobody can.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Refused { code: 403 | 405, .. })
    }

    /// The API server does not know who asks.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { code: 401, .. })
    }

    /// The API server will not take this, however often it is asked: the object itself is at fault.
    pub fn is_invalid(&self) -> bool {
        match self {
            Self::Refused { code: 400 | 413 | 422, .. } => true,
            // So it calls a field of a custom resource that is of another type than its definition says.
            Self::Refused { code: 500, message, .. } => message.starts_with("failed to create typed patch object"),
            _ => false,
        }
    }

    /// There is an object of that name already.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Refused { code: 409, reason, .. } if reason == "AlreadyExists")
    }

    /// The object cannot become what is wanted: a field of it never changes.
    pub fn is_immutable(&self) -> bool {
        matches!(self, Self::Refused { code: 422, message, .. }
            if message.contains("immutable") || message.contains("Forbidden: updates to"))
    }

    /// A webhook that would be asked cannot be asked without being told.
    pub fn is_without_rehearsal(&self) -> bool {
        matches!(self, Self::Refused { code: 400, message, .. } if message.contains("does not support dry run"))
    }

    /// Somebody else wrote first: look again before writing.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { code: 409, .. })
    }
}

/// Runs one call with a timeout.
///
/// # Errors
/// See [`CallError`]. After [`CallError::TimedOut`] and [`CallError::Unreachable`] a write may have happened.
pub async fn call<T>(timeout: Duration, request: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(timeout, request).await {
        Ok(answer) => answer.map_err(CallError::from),
        Err(_) => Err(CallError::TimedOut(timeout)),
    }
}

impl From<kube::Error> for CallError {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                Self::Refused { code: status.code, reason: status.reason, message: status.message }
            }
            kube::Error::Auth(auth) => credentials(auth),
            kube::Error::Service(source) => match source.downcast::<AuthError>() {
                Ok(auth) => credentials(*auth),
                Err(source) => Self::Unreachable(source),
            },
            kube::Error::HyperError(source) => Self::Unreachable(Box::new(source)),
            kube::Error::Discovery(source) => {
                Self::Refused { code: 404, reason: "NotFound".to_owned(), message: source.to_string() }
            }
            other => Self::Garbled(Box::new(other)),
        }
    }
}

/// Drops the causes that quote what a credential plugin printed: a token may be in it.
fn credentials(error: AuthError) -> CallError {
    match error {
        AuthError::AuthExecRun { .. } | AuthError::AuthExecParse(_) | AuthError::ParseTokenKey(_) => {
            CallError::Credentials(None)
        }
        other => CallError::Credentials(Some(other)),
    }
}
