//! A board for programs: its file's keys, every limit written out, and what the limits add up to.

use tidegate_config::{Bias, Board, Direction, Image, Json, Pin};

use super::{limits, number};

pub(super) fn json(board: &Board) -> Json {
    let worst = board.worst_case();
    let mut fields = vec![
        ("name", Json::text(&board.name)),
        ("description", Json::text(&board.description)),
        ("triple", Json::text(&board.triple)),
        ("cores", number(board.cores.into())),
        ("has_rtc", Json::Flag(board.has_rtc)),
        ("watchdog", or_null(board.watchdog.as_ref().map(|path| path.to_string_lossy()))),
        ("led", or_null(board.led.as_ref())),
        (
            "memory",
            Json::Object(vec![
                ("total_mib", number(board.memory.total_mib)),
                ("system_mib", number(board.memory.system_mib)),
                ("budget_mib", number(board.memory.budget_mib)),
                ("base_kib", number(board.memory.base_kib)),
                ("limits_kib", number(worst.total_kib())),
            ]),
        ),
        (
            "flash",
            Json::Object(vec![
                ("total_mib", number(board.flash.total_mib)),
                ("write_mib_per_day_max", number(board.flash.write_mib_per_day_max)),
            ]),
        ),
        ("pins", Json::Map(board.pins.iter().map(|(name, of)| (name.clone(), pin(of))).collect())),
        (
            "buses",
            Json::Map(
                board.buses.iter().map(|(name, dev)| (name.clone(), Json::text(dev))).collect(),
            ),
        ),
        ("image", board.image.as_ref().map_or(Json::Null, image)),
    ];
    for (table, keys) in limits(board) {
        let keys = keys.into_iter().map(|(key, value)| (key, number(value)));
        fields.push((table, Json::Object(keys.collect())));
    }
    Json::Object(fields)
}

fn pin(pin: &Pin) -> Json {
    let direction = match pin.direction {
        Direction::In => "in",
        Direction::Out => "out",
    };
    let bias = pin.bias.map(|bias| match bias {
        Bias::None => "none",
        Bias::PullUp => "pull-up",
        Bias::PullDown => "pull-down",
    });
    Json::Object(vec![
        ("chip", Json::text(&pin.chip)),
        ("line", number(pin.line.into())),
        ("direction", Json::text(direction)),
        ("active_low", Json::Flag(pin.is_active_low)),
        ("bias", or_null(bias)),
        ("debounce_ms", number(pin.debounce_ms)),
        ("on", Json::Flag(pin.starts_on)),
    ])
}

fn image(image: &Image) -> Json {
    Json::Object(vec![
        ("architecture", Json::text(&image.architecture)),
        ("kernel", Json::text(&image.kernel)),
        ("packages", Json::texts(&image.packages)),
        ("boot", Json::text(&image.boot)),
        ("dtb", or_null(image.dtb.as_ref())),
        ("loader", or_null(image.loader.as_ref())),
        ("console", Json::text(&image.console)),
        ("kernel_options", Json::texts(&image.kernel_options)),
        ("boot_mib", number(image.boot_mib)),
        ("root_mib", number(image.root_mib)),
        ("data_mib_min", number(image.data_mib_min)),
    ])
}

fn or_null(text: Option<impl Into<String>>) -> Json {
    text.map_or(Json::Null, Json::text)
}
