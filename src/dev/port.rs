//! A port for a server that another program starts, or starts again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

/// A port of the loopback address that nobody else is given while this is kept, also while its server is down.
///
/// It is bound and not listened on: connections are refused as at any free port, and a server that sets `SO_REUSEADDR`, as
/// servers do, can bind and listen.  Only Linux lets two share a port like that; elsewhere the port is only free for now.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _kept: Option<TcpSocket>,
}

impl Port {
    /// A port that nobody has.
    ///
    /// # Errors
    ///
    /// What the operating system says when it has none left.
    pub fn reserve() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let number = socket.local_addr()?.port();
        Ok(Self { number, _kept: cfg!(target_os = "linux").then_some(socket) })
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u16 {
        self.number
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_server_can_come_and_go_and_nobody_else_is_given_its_port() {
        let port = Port::reserve().unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.number()));
        for _ in 0..2 {
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            // The standard library's listener sets SO_REUSEADDR too.
            let server = TcpListener::bind(address).unwrap();
            TcpStream::connect(address).unwrap();
            drop(server);
        }
        if cfg!(target_os = "linux") {
            let own = TcpSocket::new_v4().unwrap();
            assert_eq!(own.bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        }
    }
}
