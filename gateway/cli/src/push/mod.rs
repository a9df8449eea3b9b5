//! A push, from a handler's folder to the gateways' answers. The commands that push, take back and remove share it, and
//! so does the demo.
//!
//! In reading order: `targets` (for whom), `package` and `golden_file` (what), `diff` (what changes), `seq` and `sign` (as which, by
//! whom),
//! `course` (how far it is: no IO), `gateways` (whose answers are believed), `session` (the broker's side), `progress`
//! (what people see), `outcome` (what came of it); `invoking` (one event, from here).

pub mod clean;
pub mod course;
pub mod diff;
pub mod gateways;
pub mod golden_file;
pub mod invoking;
pub mod outcome;
pub mod package;
pub mod progress;
pub mod seq;
pub mod session;
pub mod sign;
pub mod targets;

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;

use crate::broker::{Heard, Link, Server};
use crate::failure::Failure;

/// A broker that is there acks within milliseconds; one across an ocean may take seconds.
const ACK_WAIT: Duration = Duration::from_secs(20);

/// What commands run in.
pub struct Runtime(tokio::runtime::Runtime);

/// A runtime of one thread.
///
/// # Errors
/// When the system gives none.
pub fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(Runtime)
        .map_err(|error| Failure::failed(format!("no event loop can be made: {error}")))
}

impl Runtime {
    pub fn run<T>(&self, future: impl Future<Output = T>) -> T {
        LocalSet::new().block_on(&self.0, future)
    }
}

/// Nobody is there.
pub fn unreachable(server: &Server, why: &str) -> Failure {
    Failure::unreachable(format!(
        "no broker can be used at {}: {why}; check the address, and that the broker or the gateway runs",
        server.name()
    ))
}

/// Publishes messages, retained, and returns when the broker has them all: whether it keeps them.
///
/// # Errors
/// When the broker cannot be reached, refuses one, or is lost.
pub async fn deliver(server: &Server, messages: Vec<(String, Vec<u8>)>) -> Result<bool, Failure> {
    let mut link = Link::open(server, &[]).await.map_err(|why| unreachable(server, &why))?;
    let keeps = link.keeps;
    for (topic, payload) in messages {
        link.publish(&topic, keeps, payload).await.map_err(|why| unreachable(server, &why))?;
    }
    settle(&mut link, server).await?;
    link.close().await;
    Ok(keeps)
}

/// Waits until the broker has all that was published.
///
/// # Errors
/// When it refuses something, is lost, or takes too long.
pub async fn settle(link: &mut Link, server: &Server) -> Result<(), Failure> {
    let end = Instant::now() + ACK_WAIT;
    while link.unacked() > 0 {
        match tokio::time::timeout_at(end.into(), link.heard()).await {
            Ok(Heard::Acked(Ok(())) | Heard::Message(_)) => {}
            Ok(Heard::Acked(Err(why))) => return Err(refused(server, &why)),
            Ok(Heard::Lost(why)) => return Err(unreachable(server, &why)),
            Err(_) => return Err(unreachable(server, "it does not ack what it was sent")),
        }
    }
    Ok(())
}

/// The broker is there and does not want it.
pub fn refused(server: &Server, why: &str) -> Failure {
    Failure::failed(format!(
        "{}: {why}; let this user publish and subscribe below tidegate/1/",
        server.name()
    ))
}
