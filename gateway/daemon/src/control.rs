//! The control socket: `control.sock` in the data folder answers those who may write there how the gateway is.
//!
//! ```text
//! request   outbox | counters, and a newline
//! answer    one line of JSON; then the connection is closed
//! ```
//! An answer has numbers and names, no payload and no secret. It is made on the hub's thread when somebody asks;
//! nothing is kept up to date for it.

use std::cell::Cell;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tidegate_config::Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::counters;
use crate::shell::Shell;
use crate::store_driver::Lookout;

mod outbox;

const NAME: &str = "control.sock";
/// What it is called until only its owner may open it. Shorter than its name, so that what may be long is that.
const UNFINISHED: &str = "control.new";
/// Linux keeps 108 bytes for the path of a socket, the last one a zero (unix(7)).
const PATH_BYTES_MAX: usize = 107;
/// Who has not asked and taken the answer by then is cut off.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the store may take to say how full it is: it may be waiting for its disk.
const STORE_PATIENCE: Duration = Duration::from_millis(500);
/// Who comes when so many are being answered is cut off.
const CALLERS_MAX: u32 = 8;
const REQUEST_BYTES_MAX: usize = 64;
/// After a failed accept (usually: no more file descriptors) nobody is let in for so long.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Who the gateway is.
#[derive(Clone, Debug)]
pub struct Name {
    pub gateway: String,
    pub epoch: u64,
}

/// All that answers are made from.
pub struct Control {
    shell: Rc<Shell>,
    lookout: Lookout,
    name: Name,
    callers: Cell<u32>,
}

/// The socket's file. It is removed with this.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            debug!(%error, "{} was gone already", self.0.display());
        }
    }
}

/// Opens the socket in the data folder. Without it everything else goes on: why, is logged.
pub fn open(folder: &Path) -> Option<(UnixListener, SocketFile)> {
    let path = folder.join(NAME);
    match listen(folder, &path) {
        Ok(listener) => Some((listener, SocketFile(path))),
        Err(error) => {
            warn!(%error, "no control socket at {}; `tidegate outbox` cannot ask", path.display());
            None
        }
    }
}

fn listen(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    let len = path.as_os_str().as_bytes().len();
    if len > PATH_BYTES_MAX {
        return Err(io::Error::other(format!(
            "the path has {len} bytes and a socket's at most {PATH_BYTES_MAX}; a shorter gateway.data_dir helps"
        )));
    }
    let unfinished = folder.join(UNFINISHED);
    // Left over from a start that did not get this far.
    if let Err(error) = fs::remove_file(&unfinished)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&SockAddr::unix(&unfinished)?)?;
    // Nobody can connect before `listen`.
    fs::set_permissions(&unfinished, Permissions::from_mode(0o600))?;
    // Takes the place of one that a killed daemon left behind.
    fs::rename(&unfinished, path)?;
    socket.listen(CALLERS_MAX as i32)?;
    UnixListener::from_std(socket.into())
}

impl Control {
    pub fn new(shell: Rc<Shell>, lookout: Lookout, name: Name) -> Rc<Control> {
        Rc::new(Control { shell, lookout, name, callers: Cell::new(0) })
    }

    /// Answers for ever.
    pub async fn serve(self: Rc<Self>, listener: UnixListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.let_in(stream),
                Err(error) => {
                    warn!(%error, "cannot accept a connection on the control socket");
                    sleep(ACCEPT_REST).await;
                }
            }
        }
    }

    fn let_in(self: &Rc<Self>, stream: UnixStream) {
        if self.callers.get() >= CALLERS_MAX {
            return debug!("too many ask at once");
        }
        self.callers.set(self.callers.get() + 1);
        let control = Rc::clone(self);
        spawn_local(async move {
            match timeout(PATIENCE, control.talk(stream)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => debug!(%error, "who asked has gone"),
                Err(_) => debug!("who asked was too slow"),
            }
            control.callers.set(control.callers.get() - 1);
        });
    }

    /// One request, one answer.
    async fn talk(&self, mut stream: UnixStream) -> io::Result<()> {
        let request = read_request(&mut stream).await?;
        let answer = match &request[..] {
            b"outbox" => self.outbox().await,
            b"counters" => self.counters(),
            _ => Json::Object(vec![("error", Json::text("ask for: outbox, counters"))]),
        };
        stream.write_all((answer.render() + "\n").as_bytes()).await?;
        stream.shutdown().await
    }

    fn counters(&self) -> Json {
        let all = self.shell.with_hub(counters::all);
        let number = |(name, count)| (name, Json::Number(count));
        Json::Object(vec![("counters", Json::Map(all.into_iter().map(number).collect()))])
    }

    async fn outbox(&self) -> Json {
        let fill = timeout(STORE_PATIENCE, self.lookout.fill()).await.ok().flatten();
        let now = self.shell.clock.timestamp();
        self.shell.with_hub(|hub| outbox::describe(hub.gateway(), now, &self.name, fill))
    }
}

/// The line up to its end, or what there is of it when the other side writes no more.
async fn read_request(stream: &mut UnixStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut piece = [0; REQUEST_BYTES_MAX];
    while request.len() < REQUEST_BYTES_MAX {
        let count = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..count]);
        if let Some(end) = request.iter().position(|byte| *byte == b'\n') {
            request.truncate(end);
            break;
        }
        if count == 0 {
            break;
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests;
