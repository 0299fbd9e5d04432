//! One request and one answer on one connection.

use std::{error::Error as StdError, future, io};

use http::{
    HeaderMap, HeaderValue, Request as Message, StatusCode, Version,
    header::{ACCEPT, CONNECTION, HOST, USER_AGENT},
};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Bytes,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};

use super::secrets::Secrets;
use crate::analysis::{
    answer::{BODY_MAX, ProbeError},
    http::Request,
};

/// The most that is read of an answer's head, in bytes and in headers.
const HEAD_MAX: usize = 64 * 1024;
const HEADERS_MAX: usize = 100;

/// An answer to one request.
pub(super) struct Incoming {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// The request as it goes over the wire.
pub(super) fn message(request: &Request, secrets: &Secrets) -> Result<Message<Empty<Bytes>>, ProbeError> {
    let mut message = Message::new(Empty::new());
    *message.method_mut() = request.method.clone();
    *message.version_mut() = Version::HTTP_11;
    let path = request.target.path();
    *message.uri_mut() = path.parse().map_err(|_| ProbeError::Broken("the path cannot be sent".to_owned()))?;
    let headers = message.headers_mut();
    for (name, _) in &request.headers {
        let value = secrets.get(name).ok_or_else(|| ProbeError::Header(name.to_string()))?;
        headers.insert(name, value.clone());
    }
    let host = HeaderValue::from_str(&request.target.authority());
    headers.insert(HOST, host.map_err(|_| ProbeError::Unresolved(request.target.host()))?);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in [(USER_AGENT, concat!("landfall/", env!("CARGO_PKG_VERSION"))), (ACCEPT, "*/*")] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    Ok(message)
}

/// Sends a message and reads its answer. Nothing outlives this: when it is dropped, so is the connection.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    message: Message<Empty<Bytes>>,
) -> Result<Incoming, ProbeError> {
    let mut builder = Builder::new();
    builder.max_buf_size(HEAD_MAX).max_headers(HEADERS_MAX);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| explain(&error))?;
    let driven = async {
        // What goes wrong on the connection reaches the sender too, and is told there.
        let _ = connection.await;
        future::pending().await
    };
    tokio::select! {
        biased;
        answer = send(sender, message) => answer,
        never = driven => never,
    }
}

async fn send(mut sender: SendRequest<Empty<Bytes>>, message: Message<Empty<Bytes>>) -> Result<Incoming, ProbeError> {
    let answer = sender.send_request(message).await.map_err(|error| explain(&error))?;
    let (parts, mut incoming) = answer.into_parts();
    let mut body = Vec::new();
    while body.len() < BODY_MAX {
        let Some(frame) = incoming.frame().await else { break };
        let Ok(data) = frame.map_err(|error| explain(&error))?.into_data() else { continue };
        body.extend_from_slice(&data[..data.len().min(BODY_MAX - body.len())]);
    }
    Ok(Incoming { status: parts.status, headers: parts.headers, body })
}

/// The kind of a failure. The library's own words quote what was received.
fn explain(error: &hyper::Error) -> ProbeError {
    let source = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    match source {
        Some(source) => ProbeError::Broken(words(source)),
        None if error.is_parse() => ProbeError::Garbled,
        None => ProbeError::Broken("the connection was closed before the end of the answer".to_owned()),
    }
}

/// An error of a connection in words that do not depend on the machine.
pub fn words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "no route to the host".to_owned(),
        io::ErrorKind::TimedOut => "connection timed out".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed before the end of the answer".to_owned(),
        _ => certificate(error).unwrap_or_else(|| "the connection failed".to_owned()),
    }
}

fn certificate(error: &io::Error) -> Option<String> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer) => {
            "the certificate is of an unknown issuer".to_owned()
        }
        rustls::Error::InvalidCertificate(rustls::CertificateError::Expired) => "the certificate is expired".to_owned(),
        rustls::Error::InvalidCertificate(
            rustls::CertificateError::NotValidForName | rustls::CertificateError::NotValidForNameContext { .. },
        ) => "the certificate is for another name".to_owned(),
        rustls::Error::InvalidCertificate(_) => "the certificate is not valid".to_owned(),
        rustls::Error::InvalidMessage(_) => "the peer speaks no TLS".to_owned(),
        _ => "the handshake failed".to_owned(),
    })
}
