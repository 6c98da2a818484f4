//! The addresses Freeway listens on, made sure of before it starts.

use super::StartError;
use pingora::listeners::{ListenerConfig, TcpSocketOptions};
use socket2::{Domain, Socket, Type};
use std::io::ErrorKind;
use std::net::SocketAddr;

/// An address that is sure to be ours. Port 0 is replaced by a free one, which stays bound (not
/// listening) while Pingora binds it again beside it.
pub(super) struct Reserved {
    /// Where it is.
    pub(super) address: SocketAddr,
    held: Option<Socket>,
}

impl Reserved {
    /// `inherited`: another process may be listening there, and hands it over.
    pub(super) fn new(address: SocketAddr, inherited: bool) -> Result<Self, StartError> {
        let failed = |source| StartError::Listen { address, source };
        if address.port() != 0 {
            // Bound and closed again only to say in time, and in words, that it is taken.
            return match std::net::TcpListener::bind(address) {
                Err(error) if !(inherited && error.kind() == ErrorKind::AddrInUse) => Err(failed(error)),
                _ => Ok(Self { address, held: None }),
            };
        }
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).map_err(failed)?;
        socket.set_reuse_port(true).map_err(failed)?;
        socket.bind(&address.into()).map_err(failed)?;
        let bound = socket.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
        Ok(Self { address: bound, held: Some(socket) })
    }

    pub(super) fn listener(&self) -> ListenerConfig {
        ListenerConfig::tcp(self.address.to_string()).tcp_socket_options(self.options())
    }

    fn options(&self) -> TcpSocketOptions {
        let mut options = TcpSocketOptions::default();
        options.so_reuseport = self.held.is_some().then_some(true);
        options
    }
}
