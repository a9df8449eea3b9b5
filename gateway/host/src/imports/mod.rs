//! The host functions: one table from the ABI's names to Rust, and the way in and out.

mod effects;
mod event;
mod gpio;
mod state;

use std::ops::Range;
use std::sync::Arc;

use tidegate_abi::{Errno, IMPORTS, Signature, Type};
use tidegate_core::Message;
use wasmi::{Caller, Func, Store};

use crate::guest::Guest;
use crate::meter::OutOfFuel;

/// Why a host call did not do what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The guest gets a number and goes on.
    Errno(Errno),
    /// The event ends here.
    OutOfFuel,
}

impl From<Errno> for Stop {
    fn from(errno: Errno) -> Stop {
        Stop::Errno(errno)
    }
}

impl From<OutOfFuel> for Stop {
    fn from(OutOfFuel: OutOfFuel) -> Stop {
        Stop::OutOfFuel
    }
}

type Answer = Result<i64, Stop>;
type Run = fn(&mut Call<'_>) -> Answer;

/// A host function of the ABI.
#[derive(Clone, Copy)]
pub(crate) struct HostFn {
    pub signature: &'static Signature,
    run: Run,
}

/// The function of that name.
pub(crate) fn find(name: &str) -> Option<HostFn> {
    let signature = IMPORTS.iter().find(|signature| signature.name == name)?;
    let run = match name {
        "ev_read" => event::ev_read,
        "ev_num" => event::ev_num,
        "ev_str" => event::ev_str,
        "now_us" => event::now_us,
        "random" => event::random,
        "config_get" => event::config_get,
        "publish" => effects::publish,
        "send" => effects::send,
        "log" => effects::log,
        "gpio" => gpio::gpio,
        "state_get" => state::get,
        "state_set" => state::set,
        "state_cas" => state::cas,
        "state_del" => state::del,
        "state_list" => state::list,
        "state_add" => state::add,
        _ => return None,
    };
    Some(HostFn { signature, run })
}

/// Makes a host function for one instance.
///
/// One way in for each type in the ABI: arguments whose types wasmi knows at compile time stay on its
/// stack; those that it learns of from a list it copies to the heap at each call.
pub(crate) fn make(store: &mut Store<Guest>, host: HostFn) -> Func {
    /// A function of that type that hands its arguments to `host.run`, and its answer to `$result`.
    macro_rules! wrap {
        ($($arg:ident: $ty:ty),+ => $result:expr) => {
            Func::wrap(store, move |caller: Caller<'_, Guest>, $($arg: $ty),+| {
                enter(host.run, caller, &[$(i64::from($arg)),+]).map($result)
            })
        };
    }
    let (none, i32, i64) = (|_| (), |answer| answer as i32, |answer| answer);
    use Type::{I32, I64};
    match (host.signature.params, host.signature.result) {
        ([I32], Some(I64)) => wrap!(a: i32 => i64),
        ([I32, I32], Some(I32)) => wrap!(a: i32, b: i32 => i32),
        ([I32, I32, I32], None) => wrap!(a: i32, b: i32, c: i32 => none),
        ([I32, I32, I32], Some(I32)) => wrap!(a: i32, b: i32, c: i32 => i32),
        ([I32, I32, I32, I32], Some(I32)) => wrap!(a: i32, b: i32, c: i32, d: i32 => i32),
        ([I32, I32, I64, I32], Some(I32)) => wrap!(a: i32, b: i32, c: i64, d: i32 => i32),
        ([I32, I32, I32, I32, I32], Some(I32)) => {
            wrap!(a: i32, b: i32, c: i32, d: i32, e: i32 => i32)
        }
        ([I32, I32, I64, I32, I32], Some(I32)) => {
            wrap!(a: i32, b: i32, c: i64, d: i32, e: i32 => i32)
        }
        ([I32, I32, I32, I32, I32, I32], Some(I32)) => {
            wrap!(a: i32, b: i32, c: i32, d: i32, e: i32, f: i32 => i32)
        }
        ([I32, I32, I64, I32, I32, I32], Some(I32)) => {
            wrap!(a: i32, b: i32, c: i64, d: i32, e: i32, f: i32 => i32)
        }
        (params, result) => {
            unreachable!("{params:?} -> {result:?}: a test makes every import of the ABI")
        }
    }
}

fn enter(run: Run, mut caller: Caller<'_, Guest>, args: &[i64]) -> Result<i64, wasmi::Error> {
    let fuel = caller.get_fuel()?;
    let memory = caller.data().memory.expect("set before guest code runs");
    let (memory, guest) = memory.data_and_store_mut(&mut caller);
    guest.meter.enter(fuel);
    let mut call = Call { args, memory, guest };
    let answer = match call.guest.meter.charge_call() {
        Ok(()) => run(&mut call),
        Err(stop) => Err(stop.into()),
    };
    let fuel = call.guest.meter.leave();
    caller.set_fuel(fuel)?;
    match answer {
        Ok(answer) => Ok(answer),
        Err(Stop::Errno(errno)) => Ok(i64::from(errno.code())),
        Err(Stop::OutOfFuel) => Err(wasmi::Error::host(OutOfFuel)),
    }
}

/// One host call: its arguments, the guest's memory, and everything else.
struct Call<'a> {
    args: &'a [i64],
    memory: &'a mut [u8],
    guest: &'a mut Guest,
}

impl<'a> Call<'a> {
    fn i32(&self, at: usize) -> i32 {
        self.args[at] as i32
    }

    fn i64(&self, at: usize) -> i64 {
        self.args[at]
    }

    /// The pointer at `at` and the length behind it, if they lie in memory.
    fn range(&self, at: usize) -> Result<Range<usize>, Errno> {
        self.span(at, self.i32(at + 1) as u32 as usize)
    }

    /// `len` bytes at the pointer at `at`, if they lie in memory.
    fn span(&self, at: usize, len: usize) -> Result<Range<usize>, Errno> {
        let start = self.i32(at) as u32 as usize;
        let end = start.checked_add(len).ok_or(Errno::MemoryRange)?;
        if end > self.memory.len() {
            return Err(Errno::MemoryRange);
        }
        Ok(start..end)
    }

    /// The event's message; there is none in `tidegate_init`.
    fn message(&self) -> Result<Arc<Message>, Errno> {
        let current = self.guest.current.as_ref().ok_or(Errno::Unsupported)?;
        Ok(Arc::clone(&current.message))
    }

    /// Copies `bytes` out to `(buf, cap)`: nothing when they do not fit. Returns their length.
    fn copy_out(&mut self, buf: Range<usize>, bytes: &[u8]) -> Answer {
        if bytes.len() <= buf.len() {
            self.guest.meter.charge_copy(bytes.len())?;
            self.memory[buf.start..buf.start + bytes.len()].copy_from_slice(bytes);
        }
        Ok(bytes.len() as i64)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_core::limits::Caps;
    use wasmi::{Engine, ValType};

    use super::*;
    use crate::guest::tests::manifest;

    #[test]
    fn every_import_of_the_abi_is_there_and_nothing_else() {
        for signature in IMPORTS {
            let host = find(signature.name).expect(signature.name);
            assert_eq!(host.signature.name, signature.name);
        }
        assert!(find("ev_raw").is_none());
    }

    #[test]
    fn what_wasmi_links_has_the_type_of_the_abi() {
        let guest = Guest::new(Arc::new(manifest()), &Caps::DEV, 1);
        let mut store = Store::new(&Engine::default(), guest);
        let ty = |ty: &Type| match ty {
            Type::I32 => ValType::I32,
            Type::I64 => ValType::I64,
            Type::F64 => ValType::F64,
        };
        for signature in IMPORTS {
            let host = find(signature.name).expect(signature.name);
            let made = make(&mut store, host).ty(&store);
            let params: Vec<ValType> = signature.params.iter().map(ty).collect();
            let results: Vec<ValType> = signature.result.iter().map(ty).collect();
            assert_eq!(made.params(), params, "{}", signature.name);
            assert_eq!(made.results(), results, "{}", signature.name);
        }
    }
}
