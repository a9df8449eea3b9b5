//! Boards that name a class, pins, buses and images; boards that are not there.

use crate::folder::Folder;
use tidegate_config::read_board;

/// A board of a class, with these lines more, and what is said about it.
fn of_class(test: &str, class: &str, more: &str) -> Result<tidegate_config::Board, String> {
    let folder = Folder::new(test);
    let head = "name = \"mine\"\ndescription = \"d\"\ntriple = \"t\"\ncores = 4\nhas_rtc = false\n";
    let text = format!(
        "{head}class = {class:?}\n[memory]\ntotal_mib = 1024\nsystem_mib = 64\nbudget_mib = 640\nbase_kib = 16384\n\
         [flash]\ntotal_mib = 4000\nwrite_mib_per_day_max = 1000\n{more}"
    );
    folder.write("b.toml", text);
    read_board(folder.path.join("b.toml").to_str().unwrap()).map_err(|e| folder.show(&e.0))
}

#[test]
fn a_board_of_a_class_overrides_single_keys() {
    let plain = of_class("b-class", "512-mib", "").unwrap();
    let own = of_class("b-class-own", "512-mib", "[handler]\nfuel_max = 7000000\n").unwrap();
    let mut expect = plain.clone();
    expect.host.caps.fuel_max = 7_000_000;
    assert_eq!(own, expect);
    assert_eq!(plain.core_limits, read_board("pi-zero").unwrap().core_limits);

    let say = |test: &str, class: &str, more: &str| of_class(test, class, more).unwrap_err();
    assert_eq!(
        say("b-class-sum", "1024-mib", "[limits]\nhandlers_max = 200\n").lines().count(),
        1,
        "what is overridden counts in the sum"
    );
    assert_eq!(
        say("b-class-pair", "512-mib", "[handler]\nfuel_default = 2000000\n"),
        "b.toml:16: handler.fuel_default: 2000000 is above handler.fuel_max = 1000000; lower one or raise the other"
    );
    assert_eq!(
        say("b-class-key", "512-mib", "[runner]\nthread = 2\n"),
        "b.toml:16: runner.thread: is not a key here; did you mean `threads`?"
    );
    assert_eq!(
        say("b-class-none", "521-mib", ""),
        "b.toml:6: class: there is no class \"521-mib\"; did you mean \"512-mib\"? Built in: 1024-mib, 512-mib"
    );
}

#[test]
fn slips_in_pins_buses_and_image() {
    let pin = "chip = \"gpiochip0\", line = 4, direction";
    let more = format!(
        r#"[pins]
relay1 = {{ {pin} = "out" }}
relay2 = {{ {pin} = "in" }}
Relay3 = {{ chip = "c", line = 1, direction = "up" }}
button1 = {{ chip = "c", line = 2, direction = "in", on = true, pull = "up" }}
button2 = {{ chip = "c", line = 3, direction = "out", bias = "pull-up" }}
button3 = {{ line = 5 }}
led = 7
[buses]
i2c = "i2c-1"
[image]
architecture = "arm64"
kernel = "linux-image-arm64"
boot = "raspi-firmware"
console = "ttyS1"
boot_mib = 128
root_mib = 2000
data_mib_min = 512
"#
    );
    assert_eq!(
        of_class("b-parts", "512-mib", &more).unwrap_err(),
        r#"b.toml:17: pins.relay2: line 4 of "gpiochip0" is pin "relay1" already; remove one of the two
b.toml:18: pins.Relay3: "Relay3" is no pin's name; use 1 to 32 of a-z, 0-9 and -
b.toml:18: pins.Relay3.direction: "up" is not a choice here; use "in" or "out"
b.toml:19: pins.button1.on: is of no use for an input; remove it
b.toml:19: pins.button1.pull: is not a key here; the keys are chip, line, direction, active_low, on, bias, debounce_ms
b.toml:20: pins.button2.bias: is of no use for an output; remove it
b.toml:21: pins.button3.chip: is missing; add it, for example chip = "gpiochip0"
b.toml:21: pins.button3.direction: is missing; add it, for example direction = "out"
b.toml:22: pins.led: must be a table, not a whole number
b.toml:24: buses.i2c: "i2c-1" is no device; it starts with /dev/"#
    );
    let image = &more[more.find("[image]").unwrap()..];
    assert_eq!(
        of_class("b-image", "512-mib", image).unwrap_err(),
        "b.toml:13: flash.total_mib: 4000 is less than the image's partitions, 4640 MiB (boot 128, two roots of 2000, \
         data 512); lower these or name larger flash"
    );
}

#[test]
fn boards_that_are_not_there() {
    let say = |name: &str| read_board(name).unwrap_err().to_string();
    let all = "beaglebone-black, dev, imx8mm-evk, pi-3, pi-4, pi-5, pi-zero, pi-zero-2w, qemu-virt";
    let near = |name: &str, near: &str| {
        assert_eq!(
            say(name),
            format!("{name}: there is no board {name:?}; did you mean {near:?}? Built in: {all}")
        );
    };
    near("dve", "dev");
    near("pi4", "pi-4");
    near("pi-zero2w", "pi-zero-2w");
    near("beaglebone", "beaglebone-black");
    near("raspberry-pi-4", "pi-4");
    near("pi-zero-w", "pi-zero-2w");
    assert_eq!(
        say("pi"),
        format!(
            "pi: there is no board \"pi\"; did you mean \"pi-3\", \"pi-4\", \"pi-5\", \"pi-zero\" or \"pi-zero-2w\"? \
             Built in: {all}"
        )
    );
    assert_eq!(
        say("toaster"),
        format!(
            "toaster: there is no board \"toaster\"; built in: {all}; or write the path of a board file"
        )
    );
    assert_eq!(
        say("./none.toml"),
        "./none.toml: cannot be read: no such file or directory; correct the path"
    );
}
