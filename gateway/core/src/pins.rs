//! The board's pins: which there are, and how the core last knew them to be.

use alloc::string::String;
use alloc::vec::Vec;

/// Most pins of a board: their levels are the bits of a word.
pub const PINS_MAX: usize = 64;
/// What the topic of an event begins with that a pin has caused; its name follows. No device can publish there, and
/// no wildcard at a filter's start matches it (MQTT 3.1.1, 4.7.2).
pub const PIN_TOPICS: &str = "$pin/";

/// One of the board's pins, numbered in the order of their names; less than [`PINS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinId(pub u8);

/// What a handler may know of a pin beside its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub name: String,
    /// Whether handlers set it; inputs are only read.
    pub is_output: bool,
}

/// The pins of a board, by name. A board may have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(Vec<Pin>);

impl Pins {
    /// Puts pins in their order. `None`: more than [`PINS_MAX`], or one name twice.
    pub fn new(mut pins: Vec<Pin>) -> Option<Pins> {
        pins.sort_by(|a, b| a.name.cmp(&b.name));
        let twice = pins.windows(2).any(|two| two[0].name == two[1].name);
        (pins.len() <= PINS_MAX && !twice).then_some(Pins(pins))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pin of that name, and its number.
    pub fn find(&self, name: &str) -> Option<(PinId, &Pin)> {
        let at = self.0.binary_search_by(|pin| pin.name.as_str().cmp(name)).ok()?;
        Some((PinId(at as u8), &self.0[at]))
    }

    pub fn get(&self, id: PinId) -> Option<&Pin> {
        self.0.get(usize::from(id.0))
    }

    /// Every pin with its number, in order.
    pub fn iter(&self) -> impl Iterator<Item = (PinId, &Pin)> {
        (0..).map(PinId).zip(&self.0)
    }

    /// The pin that an event is about, and its level.
    pub fn of_event(&self, topic: &str, payload: &[u8]) -> Option<(PinId, bool)> {
        let (pin, _) = self.find(topic.strip_prefix(PIN_TOPICS)?)?;
        Some((pin, payload == b"1"))
    }

    /// All of them known, and off: where nothing is wired up.
    pub fn all_off(&self) -> Levels {
        let mut levels = Levels::default();
        self.iter().for_each(|(id, _)| levels.set(id, Some(false)));
        levels
    }
}

/// How the pins are, as far as is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    known: u64,
    on: u64,
}

impl Levels {
    /// Whether a pin is on. `None`: it cannot be used.
    pub fn get(&self, pin: PinId) -> Option<bool> {
        (self.known & bit(pin) != 0).then_some(self.on & bit(pin) != 0)
    }

    pub fn set(&mut self, pin: PinId, level: Option<bool>) {
        let put = |word: &mut u64, value: bool| {
            *word = if value { *word | bit(pin) } else { *word & !bit(pin) };
        };
        put(&mut self.known, level.is_some());
        put(&mut self.on, level == Some(true));
    }
}

fn bit(pin: PinId) -> u64 {
    1u64.checked_shl(u32::from(pin.0)).unwrap_or(0)
}

/// A reaction: a pin is to be on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinWrite {
    pub pin: PinId,
    pub on: bool,
}

/// The levels as the core knows them: what drivers have seen of inputs, and what handlers have set of outputs.
#[derive(Debug, Default)]
pub struct PinBook {
    levels: Levels,
    /// Outputs that a handler has set: of these a driver only tells whether they can be used.
    set: u64,
    /// How often a pin that could be used could not any more.
    lost: u64,
}

impl PinBook {
    pub fn levels(&self) -> Levels {
        self.levels
    }

    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// A driver has seen a pin's level, or (`None`) cannot use it. `true`: it was the other way round before.
    pub fn handle_seen(&mut self, pin: PinId, seen: Option<bool>) -> bool {
        let before = self.levels.get(pin);
        self.lost += u64::from(before.is_some() && seen.is_none());
        if self.set & bit(pin) == 0 {
            self.levels.set(pin, seen);
            return before.is_some() && seen.is_some() && before != seen;
        }
        // The level is kept while the pin is away: the driver sets it again when the pin is back.
        self.levels.known &= !bit(pin);
        self.levels.known |= if seen.is_some() { bit(pin) } else { 0 };
        false
    }

    /// A handler sets a pin.
    pub fn write(&mut self, write: PinWrite) {
        self.set |= bit(write.pin);
        let (known, bit) = (self.levels.known, bit(write.pin));
        self.levels.set(write.pin, Some(write.on));
        self.levels.known = known | (self.levels.known & !bit);
    }
}

#[cfg(test)]
mod tests {
    use alloc::borrow::ToOwned;

    use super::*;

    fn pins(names: &[&str]) -> Option<Pins> {
        let pin = |name: &&str| Pin { name: (*name).to_owned(), is_output: name.starts_with('r') };
        Pins::new(names.iter().map(pin).collect())
    }

    #[test]
    fn pins_are_numbered_by_name() {
        let pins = pins(&["relay1", "button1"]).expect("two pins");
        assert_eq!(pins.find("button1").map(|(id, pin)| (id.0, pin.is_output)), Some((0, false)));
        assert_eq!(pins.find("relay1").map(|(id, pin)| (id.0, pin.is_output)), Some((1, true)));
        assert_eq!(pins.find("relay"), None);
        assert!(super::tests::pins(&["a", "a"]).is_none(), "one name twice");
        let many: Vec<String> = (0..65).map(|n| alloc::format!("p{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(super::tests::pins(&many[..64]).is_some_and(|pins| pins.find("p63").is_some()));
        assert!(super::tests::pins(&many).is_none());
    }

    #[test]
    fn levels_of_all_64() {
        let mut levels = Levels::default();
        for id in (0..64).map(PinId) {
            assert_eq!(levels.get(id), None);
            levels.set(id, Some(id.0 % 2 == 0));
        }
        for id in (0..64).map(PinId) {
            assert_eq!(levels.get(id), Some(id.0 % 2 == 0));
        }
        levels.set(PinId(62), None);
        assert_eq!((levels.get(PinId(62)), levels.get(PinId(60))), (None, Some(true)));
        levels.set(PinId(64), Some(true));
        assert_eq!(levels.get(PinId(64)), None, "there is none of that number");
    }

    #[test]
    fn an_input_changes_when_it_was_known_and_is_other() {
        let mut book = PinBook::default();
        let (button, seen) =
            (PinId(3), |book: &mut PinBook, level| book.handle_seen(PinId(3), level));
        assert!(!seen(&mut book, Some(true)), "the first level is no change");
        assert!(!seen(&mut book, Some(true)));
        assert!(seen(&mut book, Some(false)));
        assert!(!seen(&mut book, None) && book.levels().get(button).is_none());
        assert!(!seen(&mut book, Some(true)), "nobody knows what it was meanwhile");
    }

    #[test]
    fn what_a_handler_set_is_not_changed_by_what_a_driver_saw_before() {
        let mut book = PinBook::default();
        let relay = PinId(1);
        assert!(!book.handle_seen(relay, Some(false)));
        book.write(PinWrite { pin: relay, on: true });
        assert!(!book.handle_seen(relay, Some(false)), "seen before the write was done");
        assert_eq!(book.levels().get(relay), Some(true));
        assert!(!book.handle_seen(relay, None));
        assert_eq!(book.levels().get(relay), None, "it is gone");
        book.write(PinWrite { pin: relay, on: false });
        assert_eq!(book.levels().get(relay), None, "setting it does not bring it back");
        assert!(!book.handle_seen(relay, Some(true)));
        assert_eq!(book.levels().get(relay), Some(false), "as a handler last wanted it");
    }
}
