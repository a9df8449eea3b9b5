//! The store's desk: takes what the hub asks for and gives the store's answers, without threads or waiting. The
//! driver's thread works with it, and so does the simulation.

use std::collections::VecDeque;

use tidegate_core::Input;
use tidegate_core::commit::CommitId;
use tidegate_core::store::Evicted;
use tidegate_journal::Disk;
use tidegate_store::{Error, Shelf, Store};
use tracing::{error, info};

use crate::hub::ToStore;

/// A store, and what it has to say.
pub struct StoreDesk<D: Disk, S: Shelf> {
    store: Store<D, S>,
    said: VecDeque<Input>,
    /// Commits taken since the last sync.
    gathered: usize,
    /// The last commit that was said to be durable.
    durable: CommitId,
    /// The core knows that there is no room.
    said_full: bool,
    is_failing: bool,
    /// The last checkpoint failed, which was said.
    is_behind: bool,
}

impl<D: Disk, S: Shelf> StoreDesk<D, S> {
    pub fn new(store: Store<D, S>) -> StoreDesk<D, S> {
        StoreDesk {
            store,
            said: VecDeque::new(),
            gathered: 0,
            durable: CommitId(0),
            said_full: false,
            is_failing: false,
            is_behind: false,
        }
    }

    pub fn store(&mut self) -> &mut Store<D, S> {
        &mut self.store
    }

    pub fn into_store(self) -> Store<D, S> {
        self.store
    }

    /// Commits that wait for [`StoreDesk::commit`].
    pub fn gathered(&self) -> usize {
        self.gathered
    }

    /// Whether the last commit failed: it is to be tried again.
    pub fn is_failing(&self) -> bool {
        self.is_failing
    }

    /// The next thing for the hub to hear.
    pub fn poll_said(&mut self) -> Option<Input> {
        self.said.pop_front()
    }

    /// Takes one thing to do.
    pub fn take(&mut self, what: ToStore) {
        match what {
            ToStore::Commit(commit) => {
                let id = commit.id.0;
                // The core keeps commits far below what the store refuses. Going on without this one would ack what
                // is not durable.
                if let Err(error) = self.store.take(commit) {
                    panic!("commit {id} cannot be written: {error}");
                }
                self.gathered += 1;
            }
            ToStore::Fetch(fetch) => {
                let fetched = self.store.fetch(&fetch);
                self.said.push_back(Input::Fetched(fetched));
            }
            ToStore::Evict(evict) => {
                // The core must know where everything stands before it hears what has moved.
                self.commit();
                self.said_full = false;
                let evicted = self.store.evict(&evict).unwrap_or_else(|error| {
                    self.fail(&error);
                    Evicted::default()
                });
                while let Some(earlier) = self.store.poll_evicted() {
                    self.said.push_back(Input::Evicted(earlier));
                }
                self.said.push_back(Input::Evicted(evicted));
                self.commit();
            }
        }
    }

    /// Makes durable what was taken. Returns how many commits that were.
    pub fn commit(&mut self) -> usize {
        let mut count = 0;
        let done = self.store.commit();
        while let Some(evicted) = self.store.poll_evicted() {
            self.said.push_back(Input::Evicted(evicted));
        }
        match done {
            Ok(committed) => {
                self.is_failing = false;
                count = std::mem::take(&mut self.gathered);
                let has_news = committed.has_left_over || !committed.damaged.is_empty();
                if committed.up_to > self.durable || has_news {
                    self.durable = self.durable.max(committed.up_to);
                    self.said.push_back(Input::Committed(committed));
                }
            }
            Err(error) => self.fail(&error),
        }
        self.checkpoint();
        if !self.said_full && !self.store.has_room() {
            self.said_full = true;
            self.said.push_back(Input::StoreFull);
        }
        count
    }

    /// Makes one when it is due. One that failed is due with every commit: the shelf knows when to try again.
    fn checkpoint(&mut self) {
        if self.store.wants_checkpoint() {
            match self.store.checkpoint() {
                Ok(()) if self.is_behind => {
                    self.is_behind = false;
                    info!("there is a checkpoint again");
                }
                Ok(()) => {}
                Err(_) if self.is_behind => {}
                Err(error) => {
                    self.is_behind = true;
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    error!(
                        %error,
                        cause,
                        "no checkpoint; the journal keeps what it has, and fills until there is one"
                    );
                }
            }
        }
        self.store.shelf().rest();
    }

    fn fail(&mut self, error: &Error) {
        self.is_failing = true;
        self.said.push_back(Input::StoreFailing { reason: error.to_string() });
    }
}
