//! Chunks that no order on a broker refers to.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tidegate_release::Digest;
use tidegate_release::envelope::{ENVELOPE_BYTES_MAX, Envelope};
use tidegate_release::manifest::{Order, What};
use tidegate_release::topics::{ControlTopic, ROOT};
use tokio::time::timeout_at;

use super::{refused, settle, unreachable};
use crate::broker::{Heard, Link, Server};
use crate::failure::Failure;

/// What a broker has kept comes in one go; a broker across an ocean makes pauses.
const QUIET: Duration = Duration::from_millis(500);
/// However much is kept.
const LISTEN_MAX: Duration = Duration::from_secs(60);

/// Takes them away, by publishing nothing in their place. Orders come first: a chunk of one that comes meanwhile would
/// otherwise count as nobody's.
///
/// # Errors
/// When the broker cannot be reached or refuses.
pub async fn clean(server: &Server) -> Result<usize, Failure> {
    let lost = |why: String| unreachable(server, &why);
    let chunks_filter = [format!("{ROOT}blob/+/+")];
    let mut link = Link::open(server, &chunks_filter).await.map_err(lost)?;
    let mut chunks = BTreeSet::new();
    let mut wanted = BTreeSet::new();
    listen(&mut link, server, &mut chunks, &mut wanted).await?;
    link.subscribe(&[format!("{ROOT}+/release/+")]).await.map_err(lost)?;
    listen(&mut link, server, &mut chunks, &mut wanted).await?;
    let mut removed = 0;
    for (digest, n) in chunks.iter().filter(|(digest, _)| !wanted.contains(digest)) {
        let topic = ControlTopic::Blob { digest: *digest, n: *n }.to_string();
        link.publish(&topic, true, Vec::new()).await.map_err(lost)?;
        removed += 1;
    }
    settle(&mut link, server).await?;
    link.close().await;
    Ok(removed)
}

async fn listen(
    link: &mut Link,
    server: &Server,
    chunks: &mut BTreeSet<(Digest, u32)>,
    wanted: &mut BTreeSet<Digest>,
) -> Result<(), Failure> {
    let end = Instant::now() + LISTEN_MAX;
    loop {
        let until = (Instant::now() + QUIET).min(end);
        match timeout_at(until.into(), link.heard()).await {
            Ok(Heard::Message(message)) if message.payload.is_empty() => {}
            Ok(Heard::Message(message)) => match ControlTopic::parse(&message.topic) {
                Ok(ControlTopic::Blob { digest, n }) if message.is_kept => {
                    chunks.insert((digest, n));
                }
                Ok(ControlTopic::Release { .. }) => wanted.extend(blobs(&message.payload)),
                Ok(
                    ControlTopic::Blob { .. }
                    | ControlTopic::Invoke { .. }
                    | ControlTopic::Trust { .. }
                    | ControlTopic::Answer { .. }
                    | ControlTopic::Invoked { .. }
                    | ControlTopic::Follow { .. }
                    | ControlTopic::Logs { .. }
                    | ControlTopic::Gateway { .. },
                )
                | Err(_) => {}
            },
            Ok(Heard::Acked(Ok(()))) => {}
            Ok(Heard::Acked(Err(why))) => return Err(refused(server, &why)),
            Ok(Heard::Lost(why)) => return Err(unreachable(server, &why)),
            Err(_) => return Ok(()),
        }
    }
}

/// What an order refers to, whoever signed it: another fleet's chunks are not ours to remove.
fn blobs(envelope: &[u8]) -> Vec<Digest> {
    let order = Envelope::decode(envelope, ENVELOPE_BYTES_MAX)
        .ok()
        .and_then(|envelope| Order::decode(envelope.payload).ok());
    match order.map(|order| order.what) {
        Some(What::Install(install)) => {
            let golden = install.golden.map(|blob| blob.digest);
            [Some(install.module.digest), golden].into_iter().flatten().collect()
        }
        Some(What::Remove | What::Invoke(_)) | None => Vec::new(),
    }
}
