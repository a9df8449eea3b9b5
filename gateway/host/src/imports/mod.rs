//! The host functions: one table from the ABI's names to Rust, and the way in and out.

mod effects;
mod event;
mod state;

use std::ops::Range;
use std::sync::Arc;

use tidegate_abi::{Errno, IMPORTS, Signature, Type};
use tidegate_core::Message;
use wasmi::{Caller, Func, FuncType, Store, Val, ValType};

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

/// A host function of the ABI.
#[derive(Clone, Copy)]
pub(crate) struct HostFn {
    pub signature: &'static Signature,
    run: fn(&mut Call<'_>) -> Answer,
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

/// The signature in wasmi's words.
pub(crate) fn func_type(signature: &Signature) -> FuncType {
    let ty = |ty: &Type| match ty {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
        Type::F64 => ValType::F64,
    };
    FuncType::new(
        signature.params.iter().map(ty),
        signature.result.iter().map(ty),
    )
}

/// Makes a host function for one instance.
pub(crate) fn make(store: &mut Store<Guest>, host: HostFn) -> Func {
    Func::new(
        store,
        func_type(host.signature),
        move |caller, args, results| enter(host, caller, args, results),
    )
}

fn enter(
    host: HostFn,
    mut caller: Caller<'_, Guest>,
    args: &[Val],
    results: &mut [Val],
) -> Result<(), wasmi::Error> {
    let fuel = caller.get_fuel()?;
    let memory = caller.data().memory.expect("set before guest code runs");
    let (memory, guest) = memory.data_and_store_mut(&mut caller);
    guest.meter.enter(fuel);
    let mut call = Call {
        args,
        memory,
        guest,
    };
    let answer = match call.guest.meter.charge_call() {
        Ok(()) => (host.run)(&mut call),
        Err(stop) => Err(stop.into()),
    };
    let fuel = call.guest.meter.leave();
    caller.set_fuel(fuel)?;
    let answer = match answer {
        Ok(answer) => answer,
        Err(Stop::Errno(errno)) => i64::from(errno.code()),
        Err(Stop::OutOfFuel) => return Err(wasmi::Error::host(OutOfFuel)),
    };
    if let (Some(result), Some(ty)) = (results.first_mut(), host.signature.result) {
        *result = match ty {
            Type::I32 => Val::I32(answer as i32),
            Type::I64 => Val::I64(answer),
            Type::F64 => Val::F64((answer as f64).into()),
        };
    }
    Ok(())
}

/// One host call: its arguments, the guest's memory, and everything else.
struct Call<'a> {
    args: &'a [Val],
    memory: &'a mut [u8],
    guest: &'a mut Guest,
}

impl<'a> Call<'a> {
    fn i32(&self, at: usize) -> i32 {
        self.args[at].i32().expect("the type was checked at load")
    }

    fn i64(&self, at: usize) -> i64 {
        self.args[at].i64().expect("the type was checked at load")
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
    use super::*;

    #[test]
    fn every_import_of_the_abi_is_there_and_nothing_else() {
        for signature in IMPORTS {
            let host = find(signature.name).expect(signature.name);
            assert_eq!(host.signature.name, signature.name);
            assert!(
                !signature.params.contains(&Type::F64),
                "no host function reads f64 yet"
            );
        }
        assert!(find("ev_raw").is_none());
    }
}
