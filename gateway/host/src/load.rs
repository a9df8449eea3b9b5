//! From bytes to an instance: every check that can be made before a handler sees its first event.

use std::sync::Arc;

use tidegate_abi::{IMPORT_MODULE, Signature, Type, export, inbox};
use tidegate_core::limits::Caps;
use tidegate_core::manifest::{Grants, Manifest};
use wasmi::{CompilationMode, Config, EnforcedLimits, Engine, Module};
use wasmparser::{ExternalKind, FuncType, ValType};

use crate::error::LoadError;
use crate::guest::Guest;
use crate::imports::{self, HostFn};
use crate::inbox::Inbox;
use crate::instance::{Instance, ModuleFacts, Reset};
use crate::live::{PAGE_BYTES, Recipe};
use crate::rewrite;
use crate::scan::{Import, Imported, Scan, scan};

/// Values that the stack of an engine starts with room for; it grows on demand and is kept.
const STACK_VALUES_MIN: usize = 128;
/// wasmi counts the height of a stack in values, whatever its documentation says.
const STACK_VALUE_BYTES: usize = 8;
/// What a linker aligns the end of static data to, so that nothing in use lies behind it.
const MEMORY_ALIGN: u32 = 16;

/// Checks `module` against the ABI, the manifest and the board, starts it, and takes its image.
/// `seed` is what `random` starts from.
///
/// # Errors
/// When the module cannot run here; see [`LoadError`].
pub fn load(
    module: &[u8],
    manifest: Arc<Manifest>,
    caps: &Caps,
    seed: u64,
) -> Result<Instance, LoadError> {
    check_limits(&manifest, caps)?;
    if module.len() > caps.module_bytes_max {
        let (bytes, max) = (module.len(), caps.module_bytes_max);
        return Err(LoadError::ModuleTooLarge { bytes, max });
    }
    let scan = scan(module)?;
    if scan.has_start {
        return Err(LoadError::StartFunction);
    }
    let imports = scan
        .imports
        .iter()
        .map(|import| check_import(import, &manifest.grants))
        .collect::<Result<Box<[_]>, _>>()?;
    check_memory(&scan, &manifest, caps)?;
    let has_init = check_exports(&scan)?;

    let tight = tight_memory(&scan);
    let rewritten = rewrite::rewrite(module, &scan, tight).ok_or_else(|| LoadError::Malformed {
        offset: module.len(),
        reason: "a section reaches beyond the end".to_owned(),
    })?;
    let engine = engine(caps, tight.is_some());
    let compiled = Module::new(&engine, &rewritten)
        .map_err(|error| LoadError::Invalid { reason: error.to_string() })?;
    let recipe = Recipe {
        module: compiled,
        imports,
        globals: scan.mutable_globals.iter().map(|&index| rewrite::global_name(index)).collect(),
        has_init,
        init_fuel: caps.init_fuel_max,
    };
    let guest = Guest::new(manifest, caps, seed);
    let mut live = recipe.make(guest).map_err(|failed| mind_the_end(failed.0, tight))?;
    let inbox = live.init(recipe.init_fuel)?;
    check_inbox(inbox, live.memory.data_size(&live.store))?;
    let init_fuel = recipe.init_fuel - live.fuel();
    let image = live.take_image();
    let reset = match scan.unrestorable {
        None => Reset::Image,
        Some(because) => Reset::FreshInstance { because },
    };
    let (initial, maximum) = scan.memories[0];
    let facts = ModuleFacts {
        module_bytes: module.len(),
        code_bytes: scan.code_bytes,
        functions: scan.functions(),
        memory_initial_kib: kib(initial),
        memory_max_kib: maximum.map(kib),
        memory_kib: (image.memory_len as u64).div_ceil(1024),
        memory_is_tight: tight.is_some(),
        imports: recipe.imports.iter().map(|host| host.signature.name).collect(),
        exports: scan.exports.iter().map(|export| export.name.clone()).collect(),
        inbox_bytes: inbox.cap as usize,
        globals_restored: recipe.globals.len(),
        image_bytes: image.len(),
        init_fuel,
        reset,
    };
    Ok(Instance::new(recipe, live, image, inbox, facts))
}

/// The length of the memory of a module that says where its data ends and never asks for more: what
/// lies above is neither allocated nor looked at after each event.
fn tight_memory(scan: &Scan) -> Option<u32> {
    let heap_base = scan.exported_constant(export::HEAP_BASE)?;
    let bytes = heap_base.checked_next_multiple_of(MEMORY_ALIGN)?;
    let (initial, _) = scan.memories[0];
    let declared = initial.saturating_mul(PAGE_BYTES);
    (!scan.sizes_memory && u64::from(bytes) < declared).then_some(bytes)
}

/// Says in an error that memory is shorter than the module declares, in case that is what it ran into.
fn mind_the_end(error: LoadError, tight: Option<u32>) -> LoadError {
    match (error, tight) {
        (LoadError::Instantiate { reason }, Some(bytes)) => LoadError::Instantiate {
            reason: format!("{reason} (its memory ends at `{}`, {bytes} bytes)", export::HEAP_BASE),
        },
        (error, _) => error,
    }
}

/// One engine for each version, so that its code goes when it goes.
fn engine(caps: &Caps, tight_memory: bool) -> Engine {
    let stack_values_max = (caps.stack_bytes_max / STACK_VALUE_BYTES).max(STACK_VALUES_MIN);
    let mut config = Config::default();
    config
        .consume_fuel(true)
        .compilation_mode(CompilationMode::Eager)
        .ignore_custom_sections(true)
        .enforced_limits(EnforcedLimits::strict())
        .set_max_stack_height(stack_values_max)
        .set_min_stack_height(STACK_VALUES_MIN)
        .set_max_recursion_depth(caps.calls_max)
        .set_max_cached_stacks(1)
        .wasm_multi_memory(false)
        .wasm_memory64(false)
        .wasm_tail_call(false)
        .wasm_extended_const(false)
        .wasm_custom_page_sizes(tight_memory)
        .wasm_wide_arithmetic(false);
    Engine::new(&config)
}

fn check_limits(manifest: &Manifest, caps: &Caps) -> Result<(), LoadError> {
    let limits = &manifest.limits;
    let asked = [
        ("fuel", limits.fuel, caps.fuel_max),
        ("memory_kib", u64::from(limits.memory_kib), u64::from(caps.memory_kib_max)),
        ("deadline_ms", u64::from(limits.deadline_ms), u64::from(caps.deadline_ms_max)),
    ];
    match asked.into_iter().find(|(_, value, max)| value > max) {
        Some((key, value, max)) => Err(LoadError::LimitAboveBoard { key, value, max }),
        None => Ok(()),
    }
}

fn check_import(import: &Import, grants: &Grants) -> Result<HostFn, LoadError> {
    let name = import.name.clone();
    if import.module != IMPORT_MODULE {
        return Err(LoadError::ImportModule { module: import.module.clone(), name });
    }
    let found = match &import.what {
        Imported::Other(kind) => return Err(LoadError::ImportKind { name, kind }),
        Imported::Func(found) => found.as_ref(),
    };
    let Some(host) = imports::find(&name) else {
        return Err(LoadError::ImportUnknown { name });
    };
    let expected = shown_signature(host.signature);
    let found = found.map_or_else(|| "a function without a type".to_owned(), shown_type);
    if found != expected {
        return Err(LoadError::ImportType { name, found, expected });
    }
    // The import set must lie inside the grants (ABI.md, 6): what may never work is refused by name.
    let nothing_granted = match name.as_str() {
        "publish" => grants.publish.is_empty(),
        "send" => grants.send.is_empty(),
        "gpio" => grants.gpio.is_empty(),
        _ => false,
    };
    if nothing_granted {
        return Err(LoadError::ImportUngranted { name });
    }
    Ok(host)
}

fn check_memory(scan: &Scan, manifest: &Manifest, caps: &Caps) -> Result<(), LoadError> {
    let [(initial, _)] = scan.memories[..] else {
        return Err(LoadError::MemoryCount { count: scan.memories.len() as u32 });
    };
    let max_kib = u64::from(manifest.limits.memory_kib);
    if kib(initial) > max_kib {
        return Err(LoadError::MemoryTooLarge { initial_kib: kib(initial), max_kib });
    }
    let max = u64::from(caps.table_elements_max);
    if scan.table_elements > max {
        let count = scan.table_elements;
        return Err(LoadError::TooMany { what: "table elements", count, max });
    }
    Ok(())
}

/// Returns whether there is a `tidegate_init`.
fn check_exports(scan: &Scan) -> Result<bool, LoadError> {
    if let Some(export) =
        scan.exports.iter().find(|export| export.name.starts_with(rewrite::PREFIX))
    {
        return Err(LoadError::ExportReserved { name: export.name.clone() });
    }
    let func = |name: &'static str, expected: &'static str| {
        let Some(export) = scan.exports.iter().find(|export| export.name == name) else {
            return Ok(false);
        };
        let found = match (export.kind, scan.func_type(export.index)) {
            (ExternalKind::Func, Some(ty)) => shown_type(ty),
            (kind, _) => shown_kind(kind).to_owned(),
        };
        if found == expected {
            Ok(true)
        } else {
            Err(LoadError::ExportType { name, found, expected })
        }
    };
    let required = |name, expected| match func(name, expected)? {
        true => Ok(()),
        false => Err(LoadError::ExportMissing { name, expected }),
    };
    let memory = scan.exports.iter().find(|export| export.name == export::MEMORY);
    match memory.map(|export| export.kind) {
        Some(ExternalKind::Memory) => {}
        Some(kind) => {
            let found = shown_kind(kind).to_owned();
            return Err(LoadError::ExportType {
                name: export::MEMORY,
                found,
                expected: "a memory",
            });
        }
        None => {
            return Err(LoadError::ExportMissing { name: export::MEMORY, expected: "a memory" });
        }
    }
    required(export::INBOX, "() -> i64")?;
    required(export::ON_EVENT, "(i32) -> i32")?;
    func(export::INIT, "() -> i32")
}

fn check_inbox(found: Inbox, memory_bytes: usize) -> Result<(), LoadError> {
    if (found.cap as usize) < inbox::HEAD_LEN {
        return Err(LoadError::InboxSmall { cap: found.cap, min: inbox::HEAD_LEN });
    }
    if found.range().is_none_or(|range| range.end > memory_bytes) {
        return Err(LoadError::InboxRange { ptr: found.ptr, cap: found.cap, memory_bytes });
    }
    Ok(())
}

fn kib(pages: u64) -> u64 {
    pages.saturating_mul(PAGE_BYTES / 1024)
}

fn shown_kind(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func => "a function",
        ExternalKind::Table => "a table",
        ExternalKind::Memory => "a memory",
        ExternalKind::Global => "a global",
        ExternalKind::Tag => "a tag",
    }
}

/// `(i32, i64) -> i32`.
fn shown_signature(signature: &Signature) -> String {
    let name = |ty: &Type| match ty {
        Type::I32 => ValType::I32,
        Type::I64 => ValType::I64,
        Type::F64 => ValType::F64,
    };
    shown_type(&FuncType::new(signature.params.iter().map(name), signature.result.iter().map(name)))
}

fn shown_type(ty: &FuncType) -> String {
    let list =
        |types: &[ValType]| types.iter().map(ValType::to_string).collect::<Vec<_>>().join(", ");
    match ty.results() {
        [] => format!("({}) -> nothing", list(ty.params())),
        results => format!("({}) -> {}", list(ty.params()), list(results)),
    }
}
