//! What people write, and what it means. `gateway.toml`, `handler.toml` and `boards/*.toml` are
//! read here and nowhere else, so that both binaries understand them alike and say the same about
//! a mistake. Every problem is found in one go and names its file, line and key.
//!
//! A file as written is a TOML table with places ([`reader`]); what it means is [`Settings`],
//! [`HandlerDir`] or [`Board`]. One function per file lies between. Nothing else leaves this crate.

mod board;
mod broker;
mod explain;
mod gateway;
mod handler;
mod json;
mod local;
mod page;
mod place;
mod problem;
mod reader;
mod settings;
mod store;
mod streams;
mod suggest;
mod template;
mod uplink;

pub use board::{
    BUILT_IN, Bias, Board, Direction, Flash, HostLimits, Image, Memory, Pin, RunnerLimits,
    WorstCase, read_board,
};
pub use broker::BrokerUrl;
pub use explain::{explain, explain_json};
pub use gateway::read_gateway;
pub use handler::{read_handler, read_manifest};
pub use json::Json;
pub use problem::{Problem, Problems};
pub use settings::{
    BrokerSettings, ClientCert, HandlerDir, HandlerEntry, Local, Outlet, Protocol, Secret,
    Settings, StoreSettings, Tls, UplinkSettings,
};
pub use template::TopicTemplate;
