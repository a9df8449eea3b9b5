//! The macro that makes a plain function a handler.

/// Makes `fn(&Event) -> Result` the module's `on_event`, with an inbox of so many bytes.
///
/// The inbox holds the event: 72 bytes and the topic, the source's name and the payload. What does
/// not fit is cut off and marked ([`Event::truncated`](crate::Event::truncated)); JSON fields are
/// read on the host and do not need to fit. `init = function` runs once per deployment; what it
/// leaves in memory is what every event starts from. `migrate = function` (`fn(&str) -> Result`) takes over the state of
/// an earlier version, `migrate_from` in handler.toml: it is given that version, runs once on a copy of the state, and may
/// do nothing but change it; it has as much fuel as an event.
#[macro_export]
macro_rules! handler {
    ($handle:path, inbox = $bytes:expr $(, init = $init:path)? $(, migrate = $migrate:path)? $(,)?) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            static INBOX: $crate::guest::Inbox<{ $bytes }> = $crate::guest::Inbox::new();

            #[allow(unsafe_code)]
            #[unsafe(export_name = "tidegate_inbox")]
            extern "C" fn tidegate_inbox() -> i64 {
                INBOX.address()
            }

            #[allow(unsafe_code)]
            #[unsafe(export_name = "on_event")]
            extern "C" fn tidegate_on_event(len: i32) -> i32 {
                fn handle(event: &$crate::Event<'_>) -> $crate::Result {
                    $(
                        if let Some(from) = $crate::guest::migrates_from(event) {
                            return $crate::Answer::into_result($migrate(from));
                        }
                    )?
                    $crate::Answer::into_result($handle(event))
                }
                INBOX.run(len, handle)
            }

            $(
                #[allow(unsafe_code)]
                #[unsafe(export_name = "tidegate_init")]
                extern "C" fn tidegate_init() -> i32 {
                    $crate::guest::code($crate::Answer::into_result($init()))
                }
            )?
        };

        // Natively the same function is called by a test's `Harness`; this only checks its type.
        #[cfg(not(target_arch = "wasm32"))]
        const _: () = {
            const fn is_handler<A: $crate::Answer>(_: fn(&$crate::Event<'_>) -> A) {}
            is_handler($handle);
            $(
                const fn is_init<A: $crate::Answer>(_: fn() -> A) {}
                is_init($init);
            )?
            $(
                const fn is_migrate<A: $crate::Answer>(_: fn(&str) -> A) {}
                is_migrate($migrate);
            )?
        };
    };
}
