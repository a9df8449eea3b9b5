//! A front door that answers each telemetry message without a handler: the daemon's broker and the
//! daemon's kind of socket loop, and nothing between them. What is lost against it is what core, hub
//! and host cost.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tidegate_broker::{Broker, ConnId, Event, Limits};
use tidegate_core::time::WallTime;
use tidegate_core::topic::Topic;
use tidegate_core::{Message, Timestamp};
use tidegate_tests::load::seq_of;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local, yield_now};

use crate::words::Problem;

const READ_BYTES: usize = 32 * 1024;

/// Everything, shared by the tasks of one thread.
struct Door {
    broker: RefCell<Broker>,
    sockets: RefCell<BTreeMap<ConnId, Rc<TcpStream>>>,
    buffer: RefCell<Vec<u8>>,
    start: Instant,
}

/// Answers for ever.
pub fn run(listen: SocketAddr) -> Result<(), Problem> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(listen))
}

async fn serve(listen: SocketAddr) -> Result<(), Problem> {
    let listener = TcpListener::bind(listen).await?;
    let door = Rc::new(Door {
        broker: RefCell::new(Broker::new(Limits::DEV)),
        sockets: RefCell::default(),
        buffer: RefCell::new(vec![0; READ_BYTES]),
        start: Instant::now(),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let conn = door.broker.borrow_mut().handle_connected(door.now())?;
        let stream = Rc::new(stream);
        door.sockets.borrow_mut().insert(conn, Rc::clone(&stream));
        let door = Rc::clone(&door);
        spawn_local(async move { door.read(conn, &stream).await });
    }
}

impl Door {
    fn now(&self) -> Timestamp {
        Timestamp(self.start.elapsed().as_millis() as u64)
    }

    async fn read(&self, conn: ConnId, stream: &TcpStream) {
        while stream.readable().await.is_ok() {
            let read = stream.try_read(&mut self.buffer.borrow_mut());
            match read {
                Ok(0) => break,
                Ok(count) => self.take(conn, count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => break,
            }
            self.flush().await;
        }
        self.sockets.borrow_mut().remove(&conn);
        self.broker.borrow_mut().handle_disconnected(self.now(), WallTime::default(), conn);
    }

    /// Feeds the broker and answers what comes out.
    fn take(&self, conn: ConnId, count: usize) {
        let mut broker = self.broker.borrow_mut();
        let buffer = self.buffer.borrow();
        // QoS 0 is never paused: all of it is used.
        broker.handle_bytes(self.now(), WallTime::default(), conn, &buffer[..count]);
        while let Some(event) = broker.poll_event() {
            if let Event::Message { message, .. } = event
                && let Some(answer) = answer(&message)
            {
                broker.publish(&answer);
            }
        }
    }

    async fn flush(&self) {
        loop {
            let conn = self.broker.borrow_mut().poll_dirty();
            let Some(conn) = conn else { return };
            let socket = self.sockets.borrow().get(&conn).map(Rc::clone);
            let Some(socket) = socket else { continue };
            while !self.write(conn, &socket) {
                // The reader lags: this benchmark's generator reads in a thread of its own.
                yield_now().await;
            }
        }
    }

    /// Writes what the socket takes; false when something is left.
    fn write(&self, conn: ConnId, socket: &TcpStream) -> bool {
        let mut broker = self.broker.borrow_mut();
        loop {
            let output = broker.output(conn);
            if output.is_empty() {
                return true;
            }
            match socket.try_write(output) {
                Ok(count) => broker.written(conn, count),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
    }
}

/// What `overheat` would say, without looking at the temperature.
fn answer(message: &Message) -> Option<Message> {
    let device = message.topic.as_str().strip_prefix("devices/")?.strip_suffix("/telemetry")?;
    let seq = seq_of(&message.payload)?;
    Some(Message {
        topic: Topic::new(&format!("devices/{device}/cmd")).ok()?,
        payload: format!("{{\"fan\":\"on\",\"ewma\":71.3,\"seq\":{seq}}}").into_bytes().into(),
        source: "echo".into(),
        hops: 1,
        mark: None,
        ..message.clone()
    })
}
