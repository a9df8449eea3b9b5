//! The front door's sockets: bytes between connections and the broker. A read waits for nothing but
//! its socket; what is to be written is written once a turn, so that a burst costs one call a connection.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::Shutdown;
use std::rc::Rc;
use std::time::Duration;

use socket2::SockRef;
use tidegate_core::message::SourceId;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tracing::{debug, warn};

use crate::shell::Shell;

/// One read takes at most so much, so that one busy connection holds the thread for about a millisecond.
const READ_BYTES: usize = 32 * 1024;
/// After a failed accept (usually: no more file descriptors) the door rests.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// One connection's socket.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Rings when the broker may be fed again after a pause.
    resumed: Notify,
    /// A task waits until the socket takes more.
    draining: std::cell::Cell<bool>,
}

/// All sockets. Shared by the tasks of one thread.
#[derive(Debug, Default)]
pub struct FrontDoor {
    connections: RefCell<BTreeMap<SourceId, Rc<Connection>>>,
}

impl FrontDoor {
    /// Accepts connections for ever.
    pub async fn serve(self: Rc<Self>, listener: TcpListener, shell: Rc<Shell>) {
        let buffer = Rc::new(RefCell::new(vec![0; READ_BYTES]));
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(%error, %peer, "the connection is slow to answer: no TCP_NODELAY");
                    }
                    let accepted = shell.with_door(|door, now, _| door.handle_connected(now));
                    match accepted {
                        Ok(id) => {
                            debug!(conn = id.0, %peer, "connected");
                            let (resumed, draining) = (Notify::new(), false.into());
                            let connection = Rc::new(Connection {
                                stream,
                                resumed,
                                draining,
                            });
                            self.connections
                                .borrow_mut()
                                .insert(id, Rc::clone(&connection));
                            let (door, shell, buffer) =
                                (Rc::clone(&self), Rc::clone(&shell), Rc::clone(&buffer));
                            spawn_local(async move {
                                let cause = connection.read(id, &shell, &buffer).await;
                                debug!(conn = id.0, cause, "disconnected");
                                door.connections.borrow_mut().remove(&id);
                                shell.with_door(|door, now, wall| {
                                    door.handle_disconnected(now, wall, id)
                                });
                                shell.ring();
                            });
                        }
                        Err(refused) => debug!(%peer, %refused, "a connection was refused"),
                    }
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    /// Writes what the turn has produced.
    pub fn flush(self: &Rc<Self>, shell: &Rc<Shell>) {
        while let Some(id) = shell.with_door(|door, _, _| door.poll_dirty()) {
            let connection = self.connections.borrow().get(&id).map(Rc::clone);
            let Some(connection) = connection else {
                continue;
            };
            if connection.draining.get() {
                continue;
            }
            if !connection.write(id, shell) {
                connection.draining.set(true);
                let shell = Rc::clone(shell);
                spawn_local(async move {
                    connection.drain(id, &shell).await;
                    connection.draining.set(false);
                });
            }
        }
    }

    /// Rings the connections that may go on.
    pub fn resume(&self, id: SourceId) {
        if let Some(connection) = self.connections.borrow().get(&id) {
            connection.resumed.notify_one();
        }
    }
}

impl Connection {
    /// Feeds the broker until the connection ends; says why it did.
    async fn read(&self, id: SourceId, shell: &Shell, buffer: &RefCell<Vec<u8>>) -> &'static str {
        let mut rest = Vec::new();
        loop {
            if self.stream.readable().await.is_err() {
                return "the socket failed";
            }
            {
                let mut buffer = buffer.borrow_mut();
                let count = match self.stream.try_read(&mut buffer) {
                    Ok(0) => return "the peer closed it",
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(_) => return "the peer reset it",
                };
                let taken = shell.with_door(|door, now, wall| {
                    door.handle_bytes(now, wall, id, &buffer[..count])
                });
                rest.extend_from_slice(&buffer[taken..count]);
            }
            shell.ring();
            // The broker took less than it was given: it is paused, or it is closing.
            while !rest.is_empty() {
                if shell.with_door(|door, _, _| door.is_closing(id)) {
                    break;
                }
                self.resumed.notified().await;
                let taken =
                    shell.with_door(|door, now, wall| door.handle_bytes(now, wall, id, &rest));
                rest.drain(..taken);
                shell.ring();
            }
            rest = Vec::new();
        }
    }

    /// Writes until the output is empty or the socket takes no more. False in the second case.
    fn write(&self, id: SourceId, shell: &Shell) -> bool {
        shell.with_door(|door, _, _| {
            loop {
                let output = door.output(id);
                if output.is_empty() {
                    if door.is_closing(id) {
                        self.close();
                    }
                    return true;
                }
                match self.stream.try_write(output) {
                    Ok(count) => door.written(id, count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                    Err(_) => {
                        self.close();
                        return true;
                    }
                }
            }
        })
    }

    async fn drain(&self, id: SourceId, shell: &Shell) {
        while self.stream.writable().await.is_ok() {
            if self.write(id, shell) {
                return;
            }
        }
    }

    /// Ends the connection: its reader sees the end and clears up.
    fn close(&self) {
        if let Err(error) = SockRef::from(&self.stream).shutdown(Shutdown::Both) {
            debug!(%error, "the connection was gone already");
        }
        self.resumed.notify_one();
    }
}
