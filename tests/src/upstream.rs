//! An upstream broker for tests: takes records, and keeps books. MQTT 3.1.1 or 5, QoS 1, envelopes in JSON.
//!
//! It is a thread for each connection. What it takes it acks after it is in the books, so that what the gateway
//! holds for delivered is there.

mod books;
mod connection;

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

pub use books::{Arrival, Books};

use crate::ports;

/// What it does with who comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// When it takes everything.
    Takes,
    /// When it hangs up at once, as if it was not there.
    Away,
    /// When it answers CONNECT with "not authorised".
    Refuses,
    /// When it says that it has kept a session, which nobody has asked for, and takes everything.
    OtherSession,
    /// When it refuses every third record of the handlers' stream: a PUBACK of MQTT 5 with code 0x99.
    RefusesThirds,
    /// When it hangs up at each PUBLISH, unacked.
    HangsUp,
    /// When it accepts the connection and says nothing, ever.
    Silent,
}

/// Where a recording stands; see [`Upstream::note_marks`].
type Marks = Box<dyn Fn() -> u64 + Send>;

#[derive(Default)]
struct Inside {
    mood: Option<Mood>,
    books: Books,
    marks: Option<Marks>,
    open: Vec<TcpStream>,
    /// Connections of an older generation are not heard any more.
    generation: u64,
    accepted: u64,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    inside: Mutex<Inside>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no connection panics")
    }
}

/// A running upstream. It ends when this is dropped.
pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl Upstream {
    /// Starts one on a free port.
    pub fn start(mood: Mood) -> Upstream {
        // Somebody else may take the port between two looks.
        let listener = (0..10).find_map(|_| TcpListener::bind(ports::free()).ok());
        let listener = listener.expect("one of ten free ports stays free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared::default());
        shared.lock().mood = Some(mood);
        let serving = Arc::clone(&shared);
        thread::spawn(move || serve(&listener, &serving));
        Upstream { address, shared }
    }

    /// The uplink's part of `gateway.toml`, with the stream `up`.
    pub fn config(&self) -> String {
        let stream = |name: &str| {
            format!(
                "\n[[stream]]\nname = \"{name}\"\ntopic = \"{{gateway}}/{name}\"\nformat = \"json\"\n"
            )
        };
        let streams = ["up", "losses", "dead-letters"].map(stream).concat();
        let address = self.address;
        format!(
            "\n[uplink]\nbroker = \"mqtt://{address}\"\ninsecure = true\nprotocol = \"3.1.1\"\n{streams}"
        )
    }

    /// From now on it does this, also with those who are connected: they are cut off.
    pub fn set(&self, mood: Mood) {
        let mut inside = self.shared.lock();
        inside.mood = Some(mood);
        inside.hang_up();
    }

    /// Begins new books, in this mood. What is still on its way from before is not heard.
    pub fn begin(&self, mood: Mood) {
        let mut inside = self.shared.lock();
        inside.mood = Some(mood);
        inside.books = Books::default();
        inside.hang_up();
    }

    /// Notes with each record where a recording stands.
    pub fn note_marks(&self, mark: impl Fn() -> u64 + Send + 'static) {
        self.shared.lock().marks = Some(Box::new(mark));
    }

    /// A copy of the books.
    pub fn books(&self) -> Books {
        self.shared.lock().books.clone()
    }

    /// Looks at the books.
    pub fn look<T>(&self, look: impl FnOnce(&Books) -> T) -> T {
        look(&self.shared.lock().books)
    }

    /// Connections that it has accepted so far, in whatever mood.
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// Waits until the books are so.
    pub fn wait_until(&self, wait: Duration, mut is_so: impl FnMut(&Books) -> bool) -> bool {
        let end = Instant::now() + wait;
        let mut inside = self.shared.lock();
        loop {
            if is_so(&inside.books) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inside = self.shared.changed.wait_timeout(inside, left).expect("nobody panics").0;
        }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let mut inside = self.shared.lock();
        inside.is_over = true;
        inside.hang_up();
        drop(inside);
        // Wakes it up, so that it sees that it is over; when that fails it has ended already.
        drop(TcpStream::connect(self.address));
    }
}

impl Inside {
    fn hang_up(&mut self) {
        self.generation += 1;
        for stream in self.open.drain(..) {
            // It may have gone by itself.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    /// Lets a connection in, unless it is to be hung up.
    fn let_in(&mut self, stream: &TcpStream) -> io::Result<Option<Mood>> {
        self.accepted += 1;
        match self.mood.expect("it has one from the beginning") {
            Mood::Away => Ok(None),
            mood => {
                stream.set_nodelay(true)?;
                self.open.push(stream.try_clone()?);
                Ok(Some(mood))
            }
        }
    }
}

fn serve(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { continue };
        let mut inside = shared.lock();
        if inside.is_over {
            return;
        }
        let (Ok(Some(mood)), generation) = (inside.let_in(&stream), inside.generation) else {
            continue;
        };
        drop(inside);
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            // How it ended is of no interest: the gateway comes again. The other handle keeps it open until it is
            // hung up.
            drop(connection::serve(&stream, mood, generation, &shared));
            drop(stream.shutdown(Shutdown::Both));
        });
    }
}
