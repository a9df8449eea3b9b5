use std::future::Future;
use std::os::unix::fs::FileTypeExt as _;
use std::sync::Arc;

use tidegate_core::commit::{Progress, Waiting};
use tidegate_core::limits::{CommitLimits, Limits, OutboxLimits};
use tidegate_core::record::StreamId;
use tidegate_core::store::Restored;
use tidegate_core::stream::{Stream, Streams, WhenFull};
use tidegate_core::{Durability, Gateway, Input, LocalSide};
use tidegate_host::Caps;
use tidegate_journal::ModelDisk;
use tidegate_store::{ModelShelf, Settings as StoreSettings, Store};
use tokio::task::LocalSet;

use super::*;
use crate::clock::Clock;
use crate::hub::{Hub, Local};
use crate::runner::Runner;
use crate::store_driver::StoreDriver;

fn streams() -> Arc<Streams> {
    let alerts = Stream {
        id: StreamId::of("alerts"),
        name: "alerts".to_owned(),
        priority: 7,
        ttl_s: 0,
        when_full: WhenFull::DropOldest,
    };
    Arc::new(Streams::new(vec![alerts], Vec::new()).expect("one stream has a number of its own"))
}

/// A folder of its own for each test, empty at the start.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("tidegated-{name}-{}", std::process::id()));
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("it was ours");
    }
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

/// A gateway with two records of `alerts` from before the start, and its store.
fn house() -> (Rc<Shell>, StoreDriver) {
    let durability = Durability {
        commits: CommitLimits::DEV,
        outbox: OutboxLimits::DEV,
        streams: streams(),
        has_uplink: true,
    };
    let gateway = Gateway::new(Limits::DEV, LocalSide::Broker, durability, 1);
    let runner = Runner::new(Caps::DEV, streams(), 75, 1);
    let clock = Clock::start();
    let shell = Shell::new(clock, Hub::new(gateway, Local::Broker(Default::default()), runner));
    let waiting =
        vec![Waiting { stream: StreamId::of("alerts"), records: 2, bytes: 6, delivered: 9 }];
    let progress = Progress { waiting, ..Progress::default() };
    let restored = Restored { boot: 2, next_seq: 12, progress, ..Restored::default() };
    shell.input(Input::Restored(restored));
    let disk = ModelDisk::new(1);
    let shelf = ModelShelf::new(1, disk.power());
    let store = Store::open(disk, shelf, StoreSettings::default(), 7).expect("a disk that works");
    let (driver, _closer) = StoreDriver::start(store.0, 0, clock);
    (shell, driver)
}

/// Runs a control socket in a folder, and a test beside it.
fn with_control<F: Future<Output = ()>>(
    name: &str,
    is_paused: bool,
    test: impl FnOnce(PathBuf) -> F,
) {
    let folder = folder(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(is_paused)
        .build()
        .expect("a system without epoll cannot run a gateway");
    LocalSet::new().block_on(&runtime, async {
        let (shell, driver) = house();
        let name = Name { gateway: "gw-1".to_owned(), epoch: 0xabc };
        let control = Control::new(shell, driver.lookout(), name);
        let (listener, _file) = open(&folder).expect("it opens");
        spawn_local(control.serve(listener));
        test(folder.join(NAME)).await;
    });
    fs::remove_dir_all(&folder).expect("it was ours");
}

/// All that is answered until the connection is closed.
async fn ask(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("somebody listens");
    stream.write_all(request.as_bytes()).await.expect("it is read");
    rest(&mut stream).await
}

async fn rest(stream: &mut UnixStream) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it is closed in order");
    answer
}

#[test]
fn the_outbox_is_told_in_one_line() {
    with_control("outbox", false, |path| async move {
        let answer = ask(&path, "outbox\n").await;
        for part in [
            r#"{"gateway":"gw-1","epoch":"0000000000000abc","uplink":{"state":"down","since_s":0}"#,
            r#""under_way":0,"journal":{"used_bytes":"#,
            r#""quota_bytes":268435456}"#,
            r#"[{"name":"alerts","number":"#,
            r#""waiting":2,"waiting_bytes":6,"oldest_s":0,"oldest":"at-least","delivered":9"#,
            r#""drain_s":null,"lost":{}}]}"#,
        ] {
            assert!(answer.contains(part), "{part} is not in {answer}");
        }
        assert_eq!(answer.find('\n'), Some(answer.len() - 1));
    });
}

#[test]
fn counters_are_those_of_the_signal() {
    with_control("counters", false, |path| async move {
        // By one who writes no newline, but says that no more will come.
        let mut stream = UnixStream::connect(&path).await.expect("somebody listens");
        stream.write_all(b"counters").await.expect("it is read");
        stream.shutdown().await.expect("it is read");
        let answer = rest(&mut stream).await;
        let expect = "{\"counters\":{\"stream.alerts.waiting\":2,\"stream.alerts.waiting_bytes\":6,\
                      \"stream.alerts.delivered\":9}}\n";
        assert_eq!(answer, expect);
    });
}

#[test]
fn what_is_no_request_is_told_so() {
    with_control("nonsense", false, |path| async move {
        for request in ["\n", "outbox please\n", "\u{1}\n", &"x".repeat(REQUEST_BYTES_MAX)] {
            let answer = ask(&path, request).await;
            assert_eq!(answer, "{\"error\":\"ask for: outbox, counters\"}\n", "{request:?}");
        }
    });
}

#[test]
fn who_says_nothing_is_cut_off() {
    with_control("silent", true, |path| async move {
        let mut stream = UnixStream::connect(&path).await.expect("somebody listens");
        let begun = tokio::time::Instant::now();
        assert_eq!(rest(&mut stream).await, "");
        let waited = begun.elapsed();
        assert!(waited >= PATIENCE && waited < PATIENCE * 2, "{waited:?}");
        assert!(ask(&path, "counters\n").await.starts_with("{\"counters\""));
    });
}

#[test]
fn a_ninth_caller_is_turned_away_until_one_has_gone() {
    with_control("many", false, |path| async move {
        let mut callers = Vec::new();
        for _ in 0..CALLERS_MAX {
            callers.push(UnixStream::connect(&path).await.expect("somebody listens"));
        }
        let mut ninth = UnixStream::connect(&path).await.expect("somebody listens");
        assert_eq!(rest(&mut ninth).await, "");
        let mut first = callers.remove(0);
        first.write_all(b"counters\n").await.expect("it is read");
        assert!(rest(&mut first).await.starts_with("{\"counters\""));
        assert!(ask(&path, "counters\n").await.starts_with("{\"counters\""));
    });
}

#[test]
fn only_the_owner_may_ask_and_leftovers_do_not_matter() {
    with_control("mode", false, |path| async move {
        let folder = path.parent().expect("it lies in a folder");
        let file = fs::metadata(&path).expect("it is there");
        assert!(file.file_type().is_socket());
        assert_eq!(file.permissions().mode() & 0o777, 0o600);
        // As a daemon finds it that was killed before, while it opened its socket.
        fs::write(folder.join(UNFINISHED), "").expect("written");
        let (listener, socket) = open(folder).expect("in its place");
        assert!(!folder.join(UNFINISHED).exists());
        let asked = UnixStream::connect(&path).await;
        assert!(asked.is_ok() && listener.accept().await.is_ok());
        drop(socket);
        assert!(!path.exists());
    });
}

#[test]
fn a_path_that_is_too_long_or_not_there_is_no_failure() {
    with_control("long", false, |path| async move {
        let folder = path.parent().expect("it lies in a folder");
        assert!(open(&folder.join("nowhere")).is_none());
        let most = PATH_BYTES_MAX - folder.as_os_str().len() - NAME.len() - 2;
        for (len, is_open) in [(most, true), (most + 1, false)] {
            let long = folder.join("x".repeat(len));
            fs::create_dir_all(&long).expect("a folder");
            assert_eq!(open(&long).is_some(), is_open, "{len}");
        }
    });
}
