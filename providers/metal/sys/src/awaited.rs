//! A packet socket whose frames are awaited, in a tokio runtime.

use std::io;
use std::task::{Context, Poll};

use portolan_l2::filter::Instruction;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::packet::{Error, PacketSocket};

/// A [`PacketSocket`] that wakes who waits for a frame.
#[derive(Debug)]
pub struct AwaitedSocket {
    socket: AsyncFd<PacketSocket>,
}

impl AwaitedSocket {
    /// Within a tokio runtime that has its I/O driver.
    pub fn new(socket: PacketSocket) -> Result<Self, Error> {
        // SAFETY: the socket owns its descriptor and never gives it away, so that it stays open as long as the socket is, which is as long as the
        // registration; and nobody changes which it is: it is
        // a field of the socket's that is set once.
        #[expect(unsafe_code, reason = "tokio cannot see that a descriptor stays what it is")]
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self { socket: socket.map_err(|error| Error::Open(error.into()))? })
    }

    /// Ready once a frame may be there.
    pub fn poll_frame(&self, context: &mut Context<'_>) -> Poll<()> {
        self.socket.poll_read_ready(context).map(drop)
    }

    /// As [`PacketSocket::receive`], but that after `WouldBlock` the next frame is awaited.
    pub fn receive<T>(&self, room: &mut [u8], read: impl FnOnce(&[u8]) -> T) -> io::Result<T> {
        self.socket.try_io(Interest::READABLE, |socket| socket.receive(room).map(read))
    }

    /// As [`PacketSocket::narrow`].
    pub fn narrow(&mut self, program: impl Fn(usize) -> Vec<Instruction>) -> Result<usize, Error> {
        self.socket.get_mut().narrow(program)
    }

    /// The socket itself, to send.
    pub fn socket(&self) -> &PacketSocket {
        self.socket.get_ref()
    }
}
