//! The thread's life: waits until a connection is wanted, opens one, lives with it, says why it ended.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tidegate_config::UplinkSettings;
use tidegate_core::Input;
use tidegate_envelope::Identity;
use tokio::sync::mpsc;
use tracing::debug;

use super::dial::Dialer;
use super::link::{End, Link};
use super::outlet::Outlets;
use crate::hub::ToUplink;
use crate::tls::Trust;

/// What the driver is asked, one thing at a time.
pub(super) struct Asked {
    channel: mpsc::UnboundedReceiver<Vec<ToUplink>>,
    batch: VecDeque<ToUplink>,
}

impl Asked {
    /// The next thing; `None` when nobody is left to ask.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<ToUplink>> {
        loop {
            if let Some(next) = self.batch.pop_front() {
                return Poll::Ready(Some(next));
            }
            match ready!(self.channel.poll_recv(context)) {
                Some(batch) => self.batch = batch.into(),
                None => return Poll::Ready(None),
            }
        }
    }
}

pub(super) struct Driver {
    settings: Arc<UplinkSettings>,
    outlets: Outlets,
    trust: Arc<Trust>,
    dialer: Dialer,
    asked: Asked,
    say: mpsc::UnboundedSender<Vec<Input>>,
}

impl Driver {
    pub fn new(
        settings: Arc<UplinkSettings>,
        identity: Identity,
        trust: Arc<Trust>,
        channel: mpsc::UnboundedReceiver<Vec<ToUplink>>,
        say: mpsc::UnboundedSender<Vec<Input>>,
    ) -> Driver {
        Driver {
            outlets: Outlets::new(Arc::clone(&settings), identity),
            dialer: Dialer::new(Arc::clone(&settings), Arc::clone(&trust)),
            asked: Asked { channel, batch: VecDeque::new() },
            settings,
            trust,
            say,
        }
    }

    /// Until nobody is left to ask for anything.
    pub async fn serve(mut self) {
        while let Some(asked) = poll_fn(|context| self.asked.poll(context)).await {
            match asked {
                ToUplink::Connect => {
                    let end = self.connection().await;
                    let End::Lost(reason) = end else { return };
                    debug!(reason, "no connection upstream");
                    say(&self.say, vec![Input::UplinkDown { reason }]);
                }
                // For a connection that has ended meanwhile, which has been said.
                ToUplink::Drop | ToUplink::Send(_) | ToUplink::Listen(_) | ToUplink::Tell(_) => {}
            }
        }
    }

    /// One connection, from the attempt to its end.
    async fn connection(&mut self) -> End {
        let opened = {
            let mut dial = pin!(self.dialer.dial());
            let asked = &mut self.asked;
            poll_fn(|context| {
                loop {
                    match asked.poll(context) {
                        Poll::Ready(Some(ToUplink::Drop)) => {
                            return Poll::Ready(Err(End::given_up()));
                        }
                        // There is one attempt already, and nothing to send before it has succeeded.
                        Poll::Ready(Some(
                            ToUplink::Connect
                            | ToUplink::Send(_)
                            | ToUplink::Listen(_)
                            | ToUplink::Tell(_),
                        )) => {}
                        Poll::Ready(None) => return Poll::Ready(Err(End::NobodyAsks)),
                        Poll::Pending => break,
                    }
                }
                dial.as_mut().poll(context).map_err(End::Lost)
            })
            .await
        };
        let dialed = match opened {
            Ok(dialed) => dialed,
            Err(end) => return end,
        };
        // Before anybody hears of it: what the clock was worth when the certificate was let pass must be noted.
        let link = Link::new(dialed, &self.settings, &self.trust);
        say(&self.say, vec![Input::UplinkUp]);
        link.serve(&mut self.outlets, &mut self.asked, &self.say).await
    }
}

/// Tells the hub. When it is gone, nobody needs to know any more.
pub(super) fn say(to: &mpsc::UnboundedSender<Vec<Input>>, said: Vec<Input>) {
    if said.is_empty() {
        return;
    }
    if to.send(said).is_err() {
        debug!("the hub has stopped; what became of records is forgotten");
    }
}
