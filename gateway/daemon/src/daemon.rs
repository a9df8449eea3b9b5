//! Puts the house together from its settings, and takes it down.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use tidegate_broker::Broker;
use tidegate_config::{BrokerSettings, HandlerEntry, Local as LocalSettings, Settings};
use tidegate_core::job::HandlerId;
use tidegate_core::{Gateway, Input, LocalSide};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_local;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::front_door::FrontDoor;
use crate::hub::{Hub, Local};
use crate::local_client::{LocalClient, Target};
use crate::report::Reporter;
use crate::runner::{Runner, Source};
use crate::shell::{LocalDriver, Shell};
use crate::threads::Threads;
use crate::tls;

/// What runs may take to end after SIGTERM; systemd's patience is far longer.
const STOP_WAIT: Duration = Duration::from_secs(4);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When an address cannot be listened on, or a TLS file cannot be used.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let clock = Clock::start();
    let seed = seed();
    let board = &settings.board;
    let runner = Runner::new(board.host.caps, u64::from(board.runner.slice_us), seed);
    let (side, local) = match &settings.local {
        LocalSettings::FrontDoor { .. } => (
            LocalSide::FrontDoor,
            Local::FrontDoor(Box::new(Broker::new(board.door))),
        ),
        LocalSettings::Broker(_) => (LocalSide::Broker, Local::Broker(Default::default())),
    };
    let gateway = Gateway::new(board.core_limits, side, seed);
    let shell = Shell::new(clock, Hub::new(gateway, local, runner));
    deploy(&settings, &shell);
    let driver = open_local(&settings, &shell).await?;
    let threads = Threads::new(
        usize::from(board.runner.threads),
        board.core_limits.handlers_max,
        clock,
    );
    spawn_local(Rc::clone(&shell).run(driver, threads, Reporter::default()));

    let mut term = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    std::future::poll_fn(|context| {
        let asked = term.poll_recv(context).is_ready() || int.poll_recv(context).is_ready();
        if asked {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    stop(&shell).await;
    Ok(())
}

/// Hands every configured handler to the core; what cannot run is told and left out.
fn deploy(settings: &Settings, shell: &Shell) {
    for (number, entry) in settings.handlers.iter().enumerate() {
        let handler =
            HandlerId(u16::try_from(number).expect("the board allows fewer handlers than that"));
        match entry {
            HandlerEntry::Ready(dir) => {
                let manifest = Arc::new(dir.manifest.clone());
                let module_path = dir.module_path.clone();
                let source = Source {
                    module_path,
                    manifest: Arc::clone(&manifest),
                };
                shell.with_hub(|hub| hub.runner().add_source(handler, source));
                shell.input(Input::Deploy { handler, manifest });
            }
            HandlerEntry::Broken { name, problems, .. } => {
                for problem in &problems.0 {
                    error!(handler = name, "{problem}");
                }
                error!(handler = name, "handler cannot run here; the rest goes on");
            }
        }
    }
}

async fn open_local(settings: &Settings, shell: &Rc<Shell>) -> anyhow::Result<LocalDriver> {
    match &settings.local {
        LocalSettings::FrontDoor { listen } => {
            let door = FrontDoor::new();
            for address in listen {
                let listener = listen_on(*address).await?;
                let bound = listener
                    .local_addr()
                    .context("a bound socket has an address")?;
                info!(address = %bound, "the front door is open");
                spawn_local(Rc::clone(&door).serve(listener, Rc::clone(shell)));
            }
            shell.input(Input::LocalUp {
                session_present: false,
            });
            Ok(LocalDriver::FrontDoor(door))
        }
        LocalSettings::Broker(broker) => {
            let packet_bytes_max = settings.board.door.packet_bytes_max;
            let target = Target {
                options: options(broker)?,
                packet_bytes_max,
            };
            let (client, events) = LocalClient::new(target);
            info!(
                host = broker.host,
                port = broker.port,
                "using the broker that is there"
            );
            spawn_local(Rc::clone(&client).serve(events, Rc::clone(shell)));
            Ok(LocalDriver::Client(client))
        }
    }
}

async fn listen_on(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address} (local.listen); is another broker running there? \
             Stop it, choose another port, or use it: local.broker = \"mqtt://{address}\""
        )
    })
}

fn options(broker: &BrokerSettings) -> anyhow::Result<MqttOptions> {
    let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
    options.set_keep_alive(Duration::from_secs(u64::from(broker.keep_alive_s)));
    if let Some(username) = &broker.username {
        let password = broker
            .password
            .as_ref()
            .map_or("", |secret| secret.expose());
        options.set_credentials(username, password);
    }
    if let Some(tls) = &broker.tls {
        let config = TlsConfiguration::Rustls(tls::client_config(tls)?);
        options.set_transport(Transport::tls_with_config(config));
    }
    Ok(options)
}

/// Waits until nothing runs or waits, but not for ever.
async fn stop(shell: &Shell) {
    info!("stopping");
    let deadline = tokio::time::Instant::now() + STOP_WAIT;
    while shell.with_hub(|hub| hub.gateway().messages()) > 0 {
        if tokio::time::Instant::now() >= deadline {
            let messages = shell.with_hub(|hub| hub.gateway().messages());
            warn!(messages, "stopped before all messages were handled");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    info!("stopped");
}

/// Varies with every start; neither secrecy nor quality depends on it.
fn seed() -> u64 {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    since.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32)
}
