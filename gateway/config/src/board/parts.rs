//! What a board has beside processor and memory: pins, buses, and what its image is made of.

use std::collections::BTreeMap;

use tidegate_core::manifest::is_name;
use tidegate_core::pins::PINS_MAX;

use super::{Bias, Direction, Image, Pin};
use crate::reader::Table;

/// Lines of one chip; the largest that is sold has some hundreds.
const LINES_MAX: u64 = 4095;
/// Longer than any contact bounces.
const DEBOUNCE_MS_MAX: u64 = 1000;
/// A terabyte: catches a wrong unit.
const PART_MIB_MAX: u64 = 1 << 20;

/// `[pins]`: a name and a small table each.
pub(super) fn pins(table: &Table<'_>) -> BTreeMap<String, Pin> {
    let mut pins: BTreeMap<String, Pin> = BTreeMap::new();
    for (name, table) in table.tables_by_name() {
        if !is_name(name) {
            table.here().wrong(format!("{name:?} is no pin's name; use 1 to 32 of a-z, 0-9 and -"));
        }
        let Some(pin) = pin(&table) else {
            continue;
        };
        let same = |other: &Pin| (&other.chip, other.line) == (&pin.chip, pin.line);
        if let Some((taken, _)) = pins.iter().find(|(_, other)| same(other)) {
            table.here().wrong(format!(
                "line {} of {:?} is pin {taken:?} already; remove one of the two",
                pin.line, pin.chip
            ));
        }
        pins.insert(name.to_owned(), pin);
    }
    if pins.len() > PINS_MAX {
        table.here().wrong(format!("there are {} pins; use at most {PINS_MAX}", pins.len()));
    }
    pins
}

fn pin(table: &Table<'_>) -> Option<Pin> {
    let chip = table.need_text("chip", "\"gpiochip0\"");
    let line = table.need_number("line", 0..=LINES_MAX);
    if !table.has("direction") {
        table.place("direction").wrong("is missing; add it, for example direction = \"out\"");
    }
    let direction = table.choice("direction", &[("in", Direction::In), ("out", Direction::Out)]);
    let is_active_low = table.flag("active_low").is_some_and(|flag| flag.value);
    let starts_on = table.flag("on").is_some_and(|flag| flag.value);
    let bias = table.choice(
        "bias",
        &[("none", Bias::None), ("pull-up", Bias::PullUp), ("pull-down", Bias::PullDown)],
    );
    let debounce_ms = table.number("debounce_ms", &(0..=DEBOUNCE_MS_MAX), "");
    match direction {
        Some(Direction::In) if starts_on => {
            table.place("on").wrong("is of no use for an input; remove it");
        }
        Some(Direction::Out) if bias.is_some() => {
            table.place("bias").wrong("is of no use for an output; remove it");
        }
        Some(Direction::Out) if debounce_ms.is_some() => {
            table.place("debounce_ms").wrong("is of no use for an output; remove it");
        }
        Some(Direction::In | Direction::Out) | None => {}
    }
    let debounce_ms = debounce_ms.map_or(0, |at| at.value);
    let chip = chip?.value.to_owned();
    Some(Pin { chip, line, direction: direction?, is_active_low, starts_on, bias, debounce_ms })
}

/// `[buses]`: a name and a device each.
pub(super) fn buses(table: &Table<'_>) -> BTreeMap<String, String> {
    let mut buses = BTreeMap::new();
    for (name, device) in table.strings() {
        if !is_name(name) {
            let what = format!("{name:?} is no bus's name; use 1 to 32 of a-z, 0-9 and -");
            device.place.wrong(what);
        }
        if !device.value.starts_with("/dev/") {
            device.place.wrong(format!("{:?} is no device; it starts with /dev/", device.value));
        }
        buses.insert(name.to_owned(), device.value.to_owned());
    }
    buses
}

/// `[image]`, where an image can be built.
pub(super) fn image(root: &Table<'_>) -> Option<Image> {
    if !root.has("image") {
        return None;
    }
    let table = root.table("image");
    let text = |key, example| table.need_text(key, example).map(|text| text.value.to_owned());
    let list = |key, example| {
        table.texts(key, example).into_iter().map(|text| text.value.to_owned()).collect()
    };
    let architecture = text("architecture", "\"arm64\"");
    let kernel = text("kernel", "\"linux-image-arm64\"");
    let boot = text("boot", "\"raspi-firmware\"");
    let console = text("console", "\"ttyS1,115200\"");
    let image = Image {
        packages: list("packages", "\"raspi-firmware\""),
        kernel_options: list("kernel_options", "\"module_blacklist=gpio_keys\""),
        dtb: table.text("dtb", "\"broadcom/bcm2711-rpi-4-b.dtb\"").map(|dtb| dtb.value.to_owned()),
        loader: table.text("loader", "\"am335x_boneblack\"").map(|loader| loader.value.to_owned()),
        boot_mib: table.need_number("boot_mib", 0..=PART_MIB_MAX),
        root_mib: table.need_number("root_mib", 1..=PART_MIB_MAX),
        data_mib_min: table.need_number("data_mib_min", 1..=PART_MIB_MAX),
        architecture: architecture?,
        kernel: kernel?,
        boot: boot?,
        console: console?,
    };
    Some(image)
}
