//! The front door's sockets: bytes between connections and the broker. A read waits for nothing but
//! its socket; what is to be written is written once a turn, so that a burst costs one call a connection.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tidegate_core::message::SourceId;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tracing::{debug, warn};

use crate::shell::Shell;

/// One read takes at most so much: one busy connection holds the thread for about a millisecond.
const READ_BYTES: usize = 32 * 1024;
/// After a failed accept (usually: no more file descriptors) the door rests.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// All sockets. Shared by the tasks of one thread.
#[derive(Debug)]
pub struct FrontDoor {
    connections: RefCell<BTreeMap<SourceId, Rc<Connection>>>,
    /// What a read fills and the broker empties, before anybody else can read.
    buffer: RefCell<Box<[u8]>>,
}

/// One connection's socket.
#[derive(Debug)]
struct Connection {
    id: SourceId,
    writer: OwnedWriteHalf,
    /// The reader keeps bytes that the broker has not taken.
    holding: Cell<bool>,
    /// Rings when the broker may take them.
    resumed: Notify,
    /// A task waits until the socket takes more.
    draining: Cell<bool>,
    /// We end it: what the client sends is nobody's any more.
    ending: Cell<bool>,
}

impl FrontDoor {
    pub fn new() -> Rc<FrontDoor> {
        let buffer = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
        Rc::new(FrontDoor { connections: RefCell::default(), buffer })
    }

    /// Accepts connections for ever.
    pub async fn serve(self: Rc<Self>, listener: TcpListener, shell: Rc<Shell>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.accept(stream, peer, &shell),
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn accept(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, shell: &Rc<Shell>) {
        if let Err(error) = stream.set_nodelay(true) {
            debug!(%error, %peer, "no TCP_NODELAY: this connection is slow to answer");
        }
        let id = match shell.with_door(|door| door.handle_connected(shell.clock.timestamp())) {
            Ok(id) => id,
            Err(refused) => return debug!(%peer, %refused, "a connection was refused"),
        };
        debug!(conn = id.0, %peer, "connected");
        // A client that says nothing has a deadline, too.
        shell.ring();
        let (reader, writer) = stream.into_split();
        let connection = Rc::new(Connection {
            id,
            writer,
            holding: Cell::new(false),
            resumed: Notify::new(),
            draining: Cell::new(false),
            ending: Cell::new(false),
        });
        self.connections.borrow_mut().insert(id, Rc::clone(&connection));
        let (door, shell) = (Rc::clone(self), Rc::clone(shell));
        spawn_local(async move {
            let cause = connection.read(reader, &shell, &door.buffer).await;
            debug!(conn = id.0, cause, "disconnected");
            door.connections.borrow_mut().remove(&id);
            let (now, wall) = (shell.clock.timestamp(), shell.clock.wall());
            shell.with_door(|door| door.handle_disconnected(now, wall, id));
            shell.ring();
        });
    }

    /// Writes what the turn has produced, and lets those read on that may.
    pub fn flush(&self, shell: &Rc<Shell>) {
        while let Some(id) = shell.with_door(|door| door.poll_dirty()) {
            let connection = self.connections.borrow().get(&id).map(Rc::clone);
            let Some(connection) = connection else {
                continue;
            };
            if connection.holding.get() && !shell.with_door(|door| door.is_paused(id)) {
                connection.resumed.notify_one();
            }
            if !connection.draining.get() && !connection.write(shell) {
                connection.draining.set(true);
                let shell = Rc::clone(shell);
                spawn_local(async move { connection.drain(&shell).await });
            }
        }
    }
}

impl Connection {
    /// Feeds the broker until the connection ends; says why it did.
    async fn read(
        &self,
        mut reader: OwnedReadHalf,
        shell: &Shell,
        buffer: &RefCell<Box<[u8]>>,
    ) -> &'static str {
        loop {
            // `poll_read` knows after a short read that the socket is empty; `try_read` would ask it again.
            let read = poll_fn(|context| {
                if !shell.may_read() || self.ending.get() {
                    return Poll::Ready(None);
                }
                let mut buffer = buffer.borrow_mut();
                let mut filled = ReadBuf::new(&mut buffer);
                let read = ready!(Pin::new(&mut reader).poll_read(context, &mut filled));
                Poll::Ready(Some(read.map(|()| filled.filled().len())))
            });
            let count = match read.await {
                None if self.ending.get() => return "we closed it",
                None => {
                    shell.until_caught_up().await;
                    continue;
                }
                Some(Ok(0)) => return "the peer closed it",
                Some(Ok(count)) => count,
                Some(Err(_)) => return "the peer reset it",
            };
            // Nobody else runs between the read and here: the buffer is still ours.
            let mut held = Vec::new();
            {
                let bytes = &buffer.borrow()[..count];
                let taken = self.feed(shell, bytes);
                held.extend_from_slice(&bytes[taken..]);
            }
            // A paused client is not read from: what it sends waits in its socket and then with it.
            while !held.is_empty() && !shell.with_door(|door| door.is_closing(self.id)) {
                self.holding.set(true);
                self.resumed.notified().await;
                self.holding.set(false);
                let taken = self.feed(shell, &held);
                held.drain(..taken);
            }
            // Behind a `feed`, with nothing between: the turn that makes room again has been asked for.
            shell.count_fed(count);
        }
    }

    fn feed(&self, shell: &Shell, bytes: &[u8]) -> usize {
        let (now, wall) = (shell.clock.timestamp(), shell.clock.wall());
        let taken = shell.with_door(|door| door.handle_bytes(now, wall, self.id, bytes));
        shell.ring();
        taken
    }

    /// Writes until the output is empty or the socket takes no more. False in the second case.
    fn write(&self, shell: &Shell) -> bool {
        shell.with_door(|door| {
            loop {
                let output = door.output(self.id);
                if output.is_empty() {
                    if door.is_closing(self.id) {
                        self.close();
                    }
                    return true;
                }
                match self.writer.try_write(output) {
                    Ok(count) => door.written(self.id, count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    Err(_) => {
                        self.close();
                        return true;
                    }
                }
            }
        })
    }

    async fn drain(&self, shell: &Shell) {
        while self.writer.writable().await.is_ok() && !self.write(shell) {}
        self.draining.set(false);
        // Room in the output may let the client's queued messages out.
        shell.ring();
    }

    /// Ends the connection: wakes its reader, which lets go of the socket. What the client has sent and
    /// nobody has read makes the kernel reset the connection, so that it does not wait for us.
    fn close(&self) {
        self.ending.set(true);
        if let Err(error) = SockRef::from(self.writer.as_ref()).shutdown(Shutdown::Read) {
            debug!(%error, "the connection was gone already");
        }
        self.resumed.notify_one();
    }
}
