//! One conversation with a server, whichever way it goes: what it has, and then what of it is wanted.

use hyper::body::Bytes;

use super::{
    address::Address,
    advertisement::Advertisement,
    error::GitError,
    https::{self, Dialer},
    mirror::Remote,
    packet::Packet,
    ssh,
    wire::Wire,
};

/// The most that is read of what a repository says it has.
const ADVERTISEMENT_MAX: u64 = 32 * 1024 * 1024;

/// What a conversation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// What the repository has is read.
    Fetch,
    /// Something is added to it.
    Push,
}

impl Service {
    /// The program of Git on the other side.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fetch => "git-upload-pack",
            Self::Push => "git-receive-pack",
        }
    }

    /// The kind of a request over https.
    pub const fn request(self) -> &'static str {
        match self {
            Self::Fetch => "application/x-git-upload-pack-request",
            Self::Push => "application/x-git-receive-pack-request",
        }
    }
}

/// A conversation. It ends when it is dropped.
pub(super) enum Session<'a> {
    /// Two requests, and the answer that is read now.
    Https(https::Session<'a>, Option<https::Body>),
    /// A program on the other side, which speaks and listens.
    Ssh(ssh::Session<'a>),
}

impl<'a> Session<'a> {
    /// A conversation about fetching that has not begun.
    pub fn new(dialer: &'a Dialer, remote: &'a Remote) -> Result<Self, GitError> {
        Self::about(Service::Fetch, dialer, remote)
    }

    /// A conversation that has not begun.
    pub fn about(service: Service, dialer: &'a Dialer, remote: &'a Remote) -> Result<Self, GitError> {
        let address = Address::parse(&remote.url)?;
        match address.user {
            None => Ok(Self::Https(https::Session::new(dialer, &remote.credentials, address, service), None)),
            Some(_) => Ok(Self::Ssh(ssh::Session::new(dialer, &remote.credentials, address, service)?)),
        }
    }

    /// Who is spoken with.
    pub fn host(&self) -> String {
        match self {
            Self::Https(session, _) => session.address.authority(),
            Self::Ssh(session) => session.host(),
        }
    }

    /// Asks what the repository has, and keeps what is of interest.
    pub async fn offer(&mut self, keep: impl Fn(&str) -> bool) -> Result<Advertisement, GitError> {
        let announced = self.begin().await?;
        let mut wire = Wire::new(self, ADVERTISEMENT_MAX);
        if let Some(service) = announced {
            announcement(&mut wire, service).await?;
        }
        let mut found = Advertisement::default();
        while let Packet::Line(line) = wire.packet().await? {
            if line.starts_with(b"ERR ") {
                return Err(wire.strange("it refuses to say what the repository has"));
            }
            found.add(&line, &keep).map_err(|_| wire.strange("a line of the answer is no reference"))?;
        }
        if found.has_other_hashes() {
            return Err(wire.strange("the repository has hashes of SHA-256, which are not read"));
        }
        Ok(found)
    }

    /// Begins the answer about what there is. What a line about itself names that comes first, if one does.
    async fn begin(&mut self) -> Result<Option<Service>, GitError> {
        match self {
            Self::Https(session, body) => {
                *body = Some(session.advertisement().await?);
                Ok(Some(session.service()))
            }
            Self::Ssh(session) => session.begin().await.map(|()| None),
        }
    }

    /// Asks for objects, or brings them.
    pub async fn upload(&mut self, message: Vec<u8>) -> Result<(), GitError> {
        match self {
            Self::Https(session, body) => {
                *body = Some(session.upload(message).await?);
                return Ok(());
            }
            Self::Ssh(session) if !session.is_spent() => return session.upload(message).await,
            Self::Ssh(_) => {}
        }
        // The program on the other side answers one question. Asked again, it says first what there is.
        self.begin().await?;
        let mut wire = Wire::new(self, ADVERTISEMENT_MAX);
        while wire.packet().await? != Packet::Flush {}
        match self {
            Self::Ssh(session) => session.upload(message).await,
            Self::Https(..) => Ok(()),
        }
    }

    /// The next piece of the answer; none at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, GitError> {
        match self {
            Self::Https(_, Some(body)) => body.piece().await,
            Self::Https(_, None) => Ok(None),
            Self::Ssh(session) => session.piece().await,
        }
    }
}

/// The line by which an answer over https says what it is.
async fn announcement(wire: &mut Wire<'_, '_>, service: Service) -> Result<(), GitError> {
    let announced = wire.packet().await?;
    let expected = format!("# service={}", service.name());
    let is_about_it = matches!(&announced, Packet::Line(line) if line.starts_with(expected.as_bytes()));
    if is_about_it && wire.packet().await? == Packet::Flush {
        return Ok(());
    }
    Err(wire.strange(match service {
        Service::Fetch => "the answer does not begin as one about fetching",
        Service::Push => "the answer does not begin as one about pushing",
    }))
}
