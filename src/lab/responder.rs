use std::{
    io::{self, IoSlice, Write as _},
    mem::{MaybeUninit, offset_of},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
    slice,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use socket2::{MaybeUninitSlice, MsgHdr, MsgHdrMut, SockAddr, Socket};

use super::{Error, poll, probe::switch_on};

/// Answers each TCP connection to a port with a line and closes it, on a thread of its own, until
/// dropped. Listens in the namespace that it was bound in.
#[derive(Debug)]
pub struct TcpResponder(Server);

/// Sends each UDP datagram to a port back where it came from, on a thread of its own, until
/// dropped. Listens in the namespace that it was bound in.
#[derive(Debug)]
pub struct UdpResponder(Server);

impl TcpResponder {
    /// On `port` of all addresses of the calling thread's namespace, of both families.
    ///
    /// # Errors
    /// [`Error::System`]: `EADDRINUSE` if somebody listens there.
    pub fn bind(port: u16) -> Result<Self, Error> {
        let tried = |source| Error::system(format!("listen on TCP port {port}"), source);
        let listener = TcpListener::bind(&everywhere(port)[..]).map_err(tried)?;
        listener.set_nonblocking(true).map_err(tried)?;
        let server = Server::start(listener, |listener, note| {
            let (mut stream, peer) = listener.accept()?;
            note(peer);
            // A peer that has gone again gets no answer.
            let _ = stream.write_all(b"dockgate\n");
            Ok(())
        });
        server.map(Self).map_err(tried)
    }

    /// From where it was connected to, in order: the addresses as they arrived here.
    pub fn seen(&self) -> Vec<SocketAddr> {
        self.0.seen()
    }
}

impl UdpResponder {
    /// On `port` of all addresses of the calling thread's namespace, of both families; answers from
    /// the address that was asked.
    ///
    /// # Errors
    /// [`Error::System`]: `EADDRINUSE` if somebody listens there.
    pub fn bind(port: u16) -> Result<Self, Error> {
        let tried = |source| Error::system(format!("listen on UDP port {port}"), source);
        let socket = UdpSocket::bind(&everywhere(port)[..]).map_err(tried)?;
        socket.set_nonblocking(true).map_err(tried)?;
        let (level, name, link) = match socket.local_addr().map_err(tried)? {
            SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, offset_of!(libc::in6_pktinfo, ipi6_ifindex)),
            SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_PKTINFO, offset_of!(libc::in_pktinfo, ipi_ifindex)),
        };
        switch_on(&socket, level, name).map_err(tried)?;
        let link = size_of::<libc::cmsghdr>() + link;
        Server::start(Socket::from(socket), move |socket, note| echo(socket, link, note)).map(Self).map_err(tried)
    }

    /// From where it was asked, in order: the addresses as they arrived here.
    pub fn seen(&self) -> Vec<SocketAddr> {
        self.0.seen()
    }
}

/// All addresses: `::` takes IPv4 as well (`net.ipv6.bindv6only` is 0 in a new namespace); the other
/// is for kernels without IPv6.
fn everywhere(port: u16) -> [SocketAddr; 2] {
    [(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
}

/// Sends one datagram back. What the kernel tells beside it, the address that it came to, is also
/// how one says from which address to send (`ip(7)`, `IP_PKTINFO`); only the number of the link,
/// which begins at byte `link`, is taken out, for the way back to be free.
fn echo(socket: &Socket, link: usize, note: &dyn Fn(SocketAddr)) -> io::Result<()> {
    let mut datagram = [MaybeUninit::new(0); 2048];
    let mut control = [MaybeUninit::new(0); 128];
    let mut peer = SockAddr::from(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    let mut buffers = [MaybeUninitSlice::new(&mut datagram)];
    let mut message = MsgHdrMut::new().with_addr(&mut peer).with_buffers(&mut buffers).with_control(&mut control);
    let len = socket.recvmsg(&mut message, 0)?;
    let control_len = message.control_len();
    if let Some(peer) = peer.as_socket() {
        note(peer);
    }
    control[link..link + 4].fill(MaybeUninit::new(0));
    let datagram = [IoSlice::new(written(&datagram[..len]))];
    let answer = MsgHdr::new().with_addr(&peer).with_buffers(&datagram).with_control(written(&control[..control_len]));
    // A peer that has gone again gets no answer.
    let _ = socket.sendmsg(&answer, 0);
    Ok(())
}

/// Bytes of a buffer that was made of zeros.
fn written(buffer: &[MaybeUninit<u8>]) -> &[u8] {
    // SAFETY: both callers' buffers were initialized, nothing makes a byte uninitialized, and
    // `MaybeUninit<u8>` has the layout of `u8`.
    unsafe { slice::from_raw_parts(buffer.as_ptr().cast(), buffer.len()) }
}

/// A thread that serves one socket until this is dropped.
#[derive(Debug)]
struct Server {
    seen: Arc<Mutex<Vec<SocketAddr>>>,
    /// The other end wakes the thread when this is closed.
    stop: Option<io::PipeWriter>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// `serve` takes what is there, notes from where, and answers: in this order, so that whoever
    /// has the answer finds the note.
    fn start<S: AsFd + Send + 'static>(
        socket: S,
        serve: impl Fn(&S, &dyn Fn(SocketAddr)) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let note = move |peer: SocketAddr| {
            let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(peer);
        };
        let thread = thread::Builder::new().name("responder".to_owned()).spawn(move || {
            loop {
                let mut fds = [poll::readable(&socket), poll::readable(&stopped)];
                if poll::wait(&mut fds, None).is_err() || fds[1].revents != 0 {
                    return;
                }
                match serve(&socket, &note) {
                    Err(error) if !passing(error.kind()) => return,
                    _ => {}
                }
            }
        })?;
        Ok(Self { seen, stop: Some(stop), thread: Some(thread) })
    }

    fn seen(&self) -> Vec<SocketAddr> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Errors that concern one peer that has gone again; after others, trying on would never end.
fn passing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}
