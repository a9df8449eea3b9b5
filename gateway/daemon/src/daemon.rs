//! Puts the house together from its settings, and takes it down.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_broker::Broker;
use tidegate_config::{HandlerEntry, Local as LocalSettings, Settings};
use tidegate_core::job::HandlerId;
use tidegate_core::limits::{CommitLimits, OutboxLimits};
use tidegate_core::{Durability, Gateway, Input, LocalSide};
use tidegate_envelope::Identity;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::clock::{Authority, Clock};
use crate::control::{self, Control};
use crate::counters;
use crate::front_door::FrontDoor;
use crate::hub::{Hub, Local};
use crate::local_client::{LocalClient, Target};
use crate::pins::PinDriver;
use crate::release_driver::ReleaseDriver;
use crate::release_opening::{self, OpenedReleases};
use crate::runner::Runner;
use crate::service::{Heartbeat, Service, State};
use crate::shell::Shell;
use crate::store_driver::StoreDriver;
use crate::store_opening;
use crate::threads::Threads;
use crate::tls::Trust;
use crate::turns::{Drivers, LocalDriver, Turns};
use crate::uplink::Uplink;

/// What runs may take to end after SIGTERM; systemd's patience is far longer.
const STOP_WAIT: Duration = Duration::from_secs(4);
/// What the store may take to write its last checkpoint.
const CLOSE_WAIT: Duration = Duration::from_secs(3);
/// Between two looks at what is left; and for the last bytes to leave.
const STOP_STEP: Duration = Duration::from_millis(10);

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// When an address cannot be listened on, or a TLS file cannot be used.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let service = Service::from_env();
    let clock = Clock::start();
    let seed = seed();
    let board = &settings.board;
    let (store, opened, _lock) = store_opening::open(&settings, seed)?;
    let epoch = store.epoch();
    clock.set_floor(opened.restored.floor_unix_us);
    let streams = Arc::clone(&settings.streams);
    let mut runner = Runner::new(board.host.caps, streams, u64::from(board.runner.slice_us), seed);
    let mut tables = opened.tables;
    let registry = release_opening::take_registry(&mut tables);
    let OpenedReleases { desk, registered, blobs } =
        release_opening::open(&settings, registry, seed, clock)?;
    runner.set_blobs(blobs);
    runner.set_pins(board.pin_names());
    tables.into_iter().for_each(|state| runner.restore(state));
    let (side, local) = match &settings.local {
        LocalSettings::FrontDoor { .. } => {
            (LocalSide::FrontDoor, Local::FrontDoor(Box::new(Broker::new(board.door))))
        }
        LocalSettings::Broker(_) => (LocalSide::Broker, Local::Broker(Default::default())),
    };
    let mut gateway = Gateway::new(board.core_limits, side, durability(&settings), seed);
    gateway.set_pins(board.pin_names());
    let shell = Shell::new(clock, Hub::new(gateway, local, runner));
    shell.input(Input::Restored(opened.restored));
    shell.input(Input::Registered(registered));
    deploy(&settings, &shell);
    let driver = open_local(&settings, &shell).await?;
    let threads =
        Threads::new(usize::from(board.runner.threads), board.core_limits.handlers_max, clock);
    let (store, closer) = StoreDriver::start(store, settings.store.commit_ms, clock);
    let uplink = open_uplink(&settings, epoch, clock)?;
    let name = control::Name { gateway: settings.id.clone(), epoch };
    let control = Control::new(Rc::clone(&shell), store.lookout(), name);
    let socket = control::open(&settings.data_dir).map(|(listener, file)| {
        spawn_local(control.serve(listener));
        file
    });
    let releases = ReleaseDriver::start(desk, clock);
    let pins = PinDriver::start(&board.pins, clock);
    let drivers = Drivers { threads, store, uplink, releases, pins };
    let heartbeat = Heartbeat::new(&service);
    spawn_local(Turns::new(Rc::clone(&shell), driver, drivers, heartbeat).run());
    spawn_local(watch_clock(Rc::clone(&shell)));
    service.tell(State::Ready);

    wait_for_stop(&shell).await?;
    service.tell(State::Stopping);
    drop(socket);
    stop(&shell).await;
    closer.close(CLOSE_WAIT);
    info!("stopped");
    Ok(())
}

/// What `[store]`, `[uplink]`, `[[stream]]` and `[[forward]]` mean to the core.
fn durability(settings: &Settings) -> Durability {
    let lazy_ms = u64::from(settings.store.lazy_ms);
    let mut outbox = OutboxLimits::DEV;
    if let Some(uplink) = &settings.uplink {
        (outbox.window, outbox.rate_per_s) = (usize::from(uplink.window), uplink.rate_per_s);
    }
    Durability {
        commits: CommitLimits { lazy_ms, ..CommitLimits::DEV },
        outbox,
        streams: Arc::clone(&settings.streams),
        has_uplink: settings.uplink.is_some(),
    }
}

fn open_uplink(settings: &Settings, epoch: u64, clock: Clock) -> anyhow::Result<Option<Uplink>> {
    let Some(uplink) = settings.uplink.clone() else {
        return Ok(None);
    };
    info!(host = uplink.broker.host, port = uplink.broker.port, "records go upstream");
    let identity = Identity { gateway: settings.id.clone(), epoch };
    Uplink::start(uplink, identity, move || clock.wall()).map(Some)
}

/// Tells the core when the wall clock has become known.
async fn watch_clock(shell: Rc<Shell>) {
    let tell = |start_unix_us| shell.input(Input::ClockKnown { start_unix_us });
    shell.clock.watch(Authority::default(), tell).await;
}

/// Until SIGTERM or SIGINT. SIGUSR1 logs the counters.
async fn wait_for_stop(shell: &Shell) -> anyhow::Result<()> {
    let listen = |kind| signal(kind).context("cannot wait for signals");
    let mut term = listen(SignalKind::terminate())?;
    let mut int = listen(SignalKind::interrupt())?;
    let mut usr1 = listen(SignalKind::user_defined1())?;
    poll_fn(|context| {
        while usr1.poll_recv(context).is_ready() {
            shell.with_hub(counters::tell);
        }
        match (term.poll_recv(context), int.poll_recv(context)) {
            (Poll::Pending, Poll::Pending) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    })
    .await;
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
                shell.with_hub(|hub| hub.runner().add_module(&manifest.name, module_path));
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
                let bound = listener.local_addr().context("a bound socket has an address")?;
                info!(address = %bound, "the front door is open");
                spawn_local(Rc::clone(&door).serve(listener, Rc::clone(shell)));
            }
            shell.input(Input::LocalUp { session_present: false });
            Ok(LocalDriver::FrontDoor(door))
        }
        LocalSettings::Broker(broker) => {
            let packet_bytes_max = settings.board.door.packet_bytes_max;
            let clock = shell.clock;
            let trust = Trust::new(move || clock.wall());
            let target = Target::new(broker, packet_bytes_max, &trust)?;
            let (client, events) = LocalClient::new(target);
            info!(host = broker.host, port = broker.port, "using the broker that is there");
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

/// Takes in nothing more and waits until nothing runs or waits, but not for ever.
async fn stop(shell: &Shell) {
    info!("stopping");
    shell.input(Input::Stopping);
    let (now, wall) = (shell.clock.timestamp(), shell.clock.wall());
    let deadline = Instant::now() + STOP_WAIT;
    loop {
        let (messages, is_settled) =
            shell.with_hub(|hub| (hub.gateway().messages(), hub.gateway().is_settled()));
        if messages == 0 && is_settled {
            break;
        }
        if Instant::now() >= deadline {
            warn!(messages, "stopped before all messages were handled");
            break;
        }
        sleep(STOP_STEP).await;
    }
    // Acks and reactions of the last messages are on their way; now say goodbye.
    shell.with_hub(|hub| {
        if let Some(door) = hub.door() {
            door.stop(now, wall);
        }
        counters::tell(hub);
    });
    shell.ring();
    sleep(STOP_STEP).await;
}

/// Varies with every start; neither secrecy nor quality depends on it.
fn seed() -> u64 {
    let since =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 ^ (u64::from(std::process::id()) << 32)
}
