//! What a server sends, as frames, counted.

use super::{
    error::{GitError, SENT, bytes},
    packet::{Packet, Packets},
    session::Session,
};

/// An answer while it is read.
pub(super) struct Wire<'a, 's> {
    session: &'a mut Session<'s>,
    packets: Packets,
    host: String,
    received: u64,
    limit: u64,
}

impl<'a, 's> Wire<'a, 's> {
    /// The answer that a conversation has arrived at, of which no more than so many bytes are read.
    pub fn new(session: &'a mut Session<'s>, limit: u64) -> Self {
        let host = session.host();
        Self { session, packets: Packets::default(), host, received: 0, limit }
    }

    /// The next frame. There is always one more: an answer ends with a flush, and its reader knows which.
    pub async fn packet(&mut self) -> Result<Packet, GitError> {
        loop {
            let found = self.packets.frame().map_err(|_| self.strange("the answer is not in frames"))?;
            if let Some(packet) = found {
                return Ok(packet);
            }
            let piece = self.session.piece().await?.ok_or_else(|| self.strange("the answer ends too early"))?;
            self.count(piece.len())?;
            self.packets.push(&piece);
        }
    }

    fn count(&mut self, piece: usize) -> Result<(), GitError> {
        self.received += piece as u64;
        if self.received <= self.limit {
            return Ok(());
        }
        Err(GitError::TooBig { what: SENT.to_owned(), limit: bytes(self.limit) })
    }

    /// The bytes that were read so far.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The error for an answer that no Git server gives.
    pub fn strange(&self, why: &'static str) -> GitError {
        GitError::Protocol { host: self.host.clone(), why }
    }
}
