//! A Git server over ssh: one connection, one key, one program on the other side.
//!
//! The connection is made to an address that was judged after its look-up, like those over https, and ends with its
//! owner. The host has to show a key of the Secret's `known_hosts`: none is learned. One key is shown, once; a refusal
//! is an answer. Compression, forwarding, passwords and signatures with SHA-1 are not offered, and channels that the
//! server opens are refused. What it says beside the answer (banners, errors for people) is counted and dropped.

use std::{
    borrow::Cow,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::body::Bytes;
use russh::{
    Channel, ChannelMsg, Preferred, SshId,
    client::{AuthResult, ChannelOpenHandle, Config, DisconnectReason, Handle, Handler, Msg, connect_stream},
    kex,
    keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::DropGuard;

use super::{
    address::Address,
    error::{GitError, Mismatch},
    https::{CONNECT_TIMEOUT, Dialer, SILENCE_MAX, silent, unreachable},
    identity::is_rsa,
    known::Known,
    leash::Leash,
    secret::{Credentials, Login},
    session::Service,
};
use crate::cluster::probe::exchange::words;

/// How many messages may wait to be read.
const MESSAGES_MAX: usize = 16;
/// The most that a server may say beside its answer.
const NOISE_MAX: usize = 64 * 1024;
/// What a shell says of a program that it does not find.
const NOT_FOUND: u32 = 127;

/// A conversation with one server.
pub(super) struct Session<'a> {
    dialer: &'a Dialer,
    login: &'a Login,
    address: Address,
    known: Known,
    service: Service,
    open: Option<Open>,
}

/// The program on the other side.
struct Open {
    channel: Channel<Msg>,
    is_asked: bool,
    has_answered: bool,
    noise: usize,
    exit: Option<u32>,
    _handle: Handle<Guard>,
    _leash: DropGuard,
}

impl<'a> Session<'a> {
    /// A conversation that has not begun. A host of which no key is known is not asked at all.
    pub fn new(
        dialer: &'a Dialer,
        credentials: &'a Credentials,
        address: Address,
        service: Service,
    ) -> Result<Self, GitError> {
        let host = address.authority();
        let why = "ssh needs a key: name a Secret with identity and known_hosts by secretRef";
        let login = credentials.login().ok_or(GitError::Denied { host: host.clone(), why })?;
        let known = login.known_hosts.of(&address.host.to_ascii_lowercase(), address.port);
        if known.keys.is_empty() {
            return Err(GitError::UnknownHost { host });
        }
        Ok(Self { dialer, login, address, known, service, open: None })
    }

    pub fn host(&self) -> String {
        self.address.authority()
    }

    /// Connects, and starts the program that says what the repository has.
    pub async fn begin(&mut self) -> Result<(), GitError> {
        self.open = None;
        let host = self.host();
        let (mut handle, leash, fate) = timeout(CONNECT_TIMEOUT, self.connect())
            .await
            .map_err(|_| unreachable(&host, &format!("no connection within {}s", CONNECT_TIMEOUT.as_secs())))??;
        let steps = async {
            self.show_key(&mut handle, &fate).await?;
            let channel = handle.channel_open_session().await.map_err(|error| broken(&host, &error))?;
            channel.exec(true, self.program()).await.map_err(|error| broken(&host, &error))?;
            Ok(channel)
        };
        let channel = timeout(SILENCE_MAX, steps).await.map_err(|_| silent(&host))??;
        let (is_asked, has_answered, noise, exit) = (false, false, 0, None);
        self.open = Some(Open { channel, is_asked, has_answered, noise, exit, _handle: handle, _leash: leash });
        Ok(())
    }

    async fn connect(&self) -> Result<(Handle<Guard>, DropGuard, Fate), GitError> {
        let host = self.host();
        let stream: TcpStream = self.dialer.reach(&self.address).await?;
        let (stream, leash) = Leash::new(stream);
        let fate = Fate::default();
        let guard = Guard { known: self.known.clone(), fate: fate.clone() };
        let handle = connect_stream(Arc::new(config(&self.known)), stream, guard).await.map_err(|error| match fate
            .mismatch()
        {
            Some((mismatch, shown)) => GitError::HostKey { host: host.clone(), mismatch, shown },
            None => broken(&host, &error),
        })?;
        Ok((handle, leash, fate))
    }

    async fn show_key(&self, handle: &mut Handle<Guard>, fate: &Fate) -> Result<(), GitError> {
        let host = self.host();
        let denied = |why| GitError::Denied { host: host.clone(), why };
        let mut hash = None;
        if is_rsa(&self.login.identity) {
            let supported = handle.best_supported_rsa_hash().await.map_err(|error| broken(&host, &error))?;
            let best = supported.unwrap_or(Some(HashAlg::Sha512));
            let weak = || denied("it takes RSA keys with SHA-1 alone: use a key of ed25519");
            hash = Some(best.ok_or_else(weak)?);
        }
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&self.login.identity), hash);
        let user = self.address.user.clone().unwrap_or_default();
        let outcome = handle.authenticate_publickey(user, key).await.map_err(|error| broken(&host, &error))?;
        let AuthResult::Failure { remaining_methods, partial_success } = outcome else { return Ok(()) };
        if partial_success {
            return Err(denied("it wants more than a key"));
        }
        if remaining_methods.is_empty() {
            // The server leaves no other way, or the connection is over. Its guard hears of it when it ends.
            let _ = handle.await;
            if !fate.is_refused() {
                return Err(unreachable(&host, CLOSED));
            }
        }
        Err(denied("it does not accept the key of the Secret for the user of the address: add the public key there"))
    }

    /// The line for the shell on the other side.
    fn program(&self) -> Vec<u8> {
        let path = self.address.path.replace('\'', r"'\''").replace('!', r"'\!'");
        format!("{} '{path}'", self.service.name()).into_bytes()
    }

    /// Whether the program was asked what it can be asked once.
    pub fn is_spent(&self) -> bool {
        self.open.as_ref().is_none_or(|open| open.is_asked)
    }

    /// Asks for objects, or brings them.
    pub async fn upload(&mut self, message: Vec<u8>) -> Result<(), GitError> {
        let host = self.host();
        let open = self.open.as_mut().ok_or_else(|| unreachable(&host, CLOSED))?;
        open.is_asked = true;
        let sent = timeout(SILENCE_MAX, open.channel.data_bytes(message)).await.map_err(|_| silent(&host))?;
        sent.map_err(|error| broken(&host, &error))
    }

    /// The next piece of the answer; none at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, GitError> {
        let host = self.address.authority();
        let strange = |why| GitError::Protocol { host: host.clone(), why };
        let Some(open) = &mut self.open else { return Ok(None) };
        loop {
            match timeout(SILENCE_MAX, open.channel.wait()).await.map_err(|_| silent(&host))? {
                Some(ChannelMsg::Data { data }) => {
                    open.has_answered = true;
                    return Ok(Some(data));
                }
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    open.noise += data.len();
                    if open.noise > NOISE_MAX {
                        return Err(strange("it says too much beside its answer"));
                    }
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => open.exit = Some(exit_status),
                Some(ChannelMsg::Failure) => return Err(strange("it does not run the program of Git")),
                None if open.exit.is_none() => return Err(unreachable(&host, CLOSED)),
                None | Some(ChannelMsg::Close) => break,
                Some(_) => {}
            }
        }
        match open.exit {
            _ if open.has_answered => Ok(None),
            Some(NOT_FOUND) => Err(strange("it has no such program of Git")),
            _ if self.service == Service::Push => {
                let why = "the key of the Secret may not push to this repository, or there is none at this address";
                Err(GitError::Denied { host, why })
            }
            _ => Err(GitError::NoSuchRepository { host }),
        }
    }
}

const CLOSED: &str = "the connection was closed before the end of the answer";

/// What became of a connection, as far as only its guard sees it.
#[derive(Clone, Default)]
struct Fate(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    mismatch: Option<(Mismatch, String)>,
    is_refused: bool,
}

impl Fate {
    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn mismatch(&self) -> Option<(Mismatch, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).mismatch.clone()
    }

    fn is_refused(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_refused
    }
}

/// Judges the host's key, and refuses whatever else the server wants.
struct Guard {
    known: Known,
    fate: Fate,
}

impl Handler for Guard {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let judged = self.known.judge(key);
        if let Err(mismatch) = judged {
            let shown = key.fingerprint(HashAlg::Sha256).to_string();
            self.fate.note(|seen| seen.mismatch = Some((mismatch, shown)));
        }
        Ok(judged.is_ok())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Self::Error>) -> Result<(), Self::Error> {
        if matches!(reason, DisconnectReason::Error(russh::Error::NoAuthMethod)) {
            self.fate.note(|seen| seen.is_refused = true);
        }
        Ok(())
    }

    // A handle that is dropped refuses the channel. By default they would be accepted.

    async fn server_channel_open_forwarded_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_forwarded_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_agent_forward(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_session(
        &mut self,
        _: Channel<Msg>,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_tcpip(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_direct_streamlocal(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn server_channel_open_x11(
        &mut self,
        _: Channel<Msg>,
        _: &str,
        _: u32,
        _: ChannelOpenHandle,
        _: &mut russh::client::Session,
    ) -> Result<(), Self::Error> {
        Ok(())
    }
}

/// What is offered to a host of which these keys are known.
fn config(known: &Known) -> Config {
    let preferred =
        Preferred { kex: Cow::Borrowed(EXCHANGES), key: Cow::Owned(host_keys(known)), ..Preferred::DEFAULT };
    Config {
        client_id: SshId::Standard(Cow::Borrowed(concat!("SSH-2.0-landfall_", env!("CARGO_PKG_VERSION")))),
        channel_buffer_size: MESSAGES_MAX,
        inactivity_timeout: Some(SILENCE_MAX + Duration::from_secs(1)),
        nodelay: true,
        preferred,
        ..Config::default()
    }
}

/// Exchanges of a bounded cost. The extensions are those against cut handshakes and for hashes of RSA.
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
    kex::DH_G16_SHA512,
    kex::DH_G14_SHA256,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// The kinds of keys that a host may show: those that are known of it first, so that a host with several shows one of them.
fn host_keys(known: &Known) -> Vec<Algorithm> {
    let ecdsa = |curve| Algorithm::Ecdsa { curve };
    let rsa = |hash| Algorithm::Rsa { hash: Some(hash) };
    let all = [
        Algorithm::Ed25519,
        ecdsa(EcdsaCurve::NistP256),
        ecdsa(EcdsaCurve::NistP384),
        ecdsa(EcdsaCurve::NistP521),
        rsa(HashAlg::Sha512),
        rsa(HashAlg::Sha256),
    ];
    let is_known = |kind: &Algorithm| known.keys.iter().any(|key| is_of(key, kind));
    let (first, last): (Vec<_>, Vec<_>) = all.into_iter().partition(is_known);
    first.into_iter().chain(last).collect()
}

fn is_of(key: &PublicKey, kind: &Algorithm) -> bool {
    match kind {
        Algorithm::Rsa { .. } => matches!(key.algorithm(), Algorithm::Rsa { .. }),
        kind => key.algorithm() == *kind,
    }
}

/// The kind of a failure. The library's own words quote what was received.
fn broken(host: &str, error: &russh::Error) -> GitError {
    use russh::Error;
    let why = match error {
        Error::IO(error) => &words(error),
        Error::InactivityTimeout => return silent(host),
        Error::Version => "it does not speak ssh",
        Error::NoCommonAlgo { .. } => "it speaks only kinds of ssh that are not used any more",
        Error::WrongServerSig => "it does not prove that the host key is its own",
        Error::Disconnect | Error::HUP | Error::RecvError | Error::SendError => CLOSED,
        Error::ChannelOpenFailure(_) => "it does not let this user run anything",
        _ => "it does not speak ssh as it should",
    };
    unreachable(host, why)
}
