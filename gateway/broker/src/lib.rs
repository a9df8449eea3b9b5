//! The front door: an MQTT 3.1.1 and 5 broker without IO. Bytes and time go in, messages, bytes and
//! deadlines come out; a driver owns the sockets. A device's message is for the other devices at
//! once, and for the core, which says with [`Broker::ack`] when its sender may believe that it is safe.
//!
//! Sessions end with their connection: a client that asks for a kept one is told that it has none.
//! So nothing is ever sent again, and a will delay, which a session's end cuts short, is no delay.
//! Whoever reaches the port may connect; user name and password are read and not looked at.

mod event;

mod counters;

mod broker;
mod dispatch;
mod publish;
mod sessions;

mod clients;
mod inbound;
mod outbound;
mod timers;

mod retained;
mod subscriptions;
mod topics;

mod connect;
mod properties;
mod reader;
mod subscribe;
mod wire;

pub use broker::{Broker, ClientInfo, Refused};
pub use counters::{CloseReason, Counters, DropReason};
pub use event::{ConnId, Event};
pub use tidegate_core::limits::DoorLimits as Limits;
pub use wire::Version;
