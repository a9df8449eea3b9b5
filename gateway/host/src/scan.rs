//! One pass over the module's bytes: what it imports, exports and holds, and what of it cannot be
//! restored. wasmi validates afterwards; nothing here is believed before that.

use wasmparser::{
    BinaryReaderError, Encoding, ExternalKind, FuncType, FunctionBody, Global, Operator, Parser,
    Payload, TypeRef, WasmFeatures,
};

use crate::costs::{FUNCTIONS_MAX, GLOBALS_MAX, SEGMENTS_MAX, TABLES_MAX};
use crate::error::LoadError;

/// What compilers emit by default today, and nothing beyond it.
pub(crate) const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::GC_TYPES)
    .union(WasmFeatures::FLOATS);

pub(crate) struct Import {
    pub module: String,
    pub name: String,
    pub what: Imported,
}

pub(crate) enum Imported {
    /// A function and its type, if the type index exists.
    Func(Option<FuncType>),
    Other(&'static str),
}

pub(crate) struct Export {
    pub name: String,
    pub kind: ExternalKind,
    pub index: u32,
}

/// What the pass found.
#[derive(Default)]
pub(crate) struct Scan {
    types: Vec<FuncType>,
    pub imports: Vec<Import>,
    /// Type index of every function, imported ones first.
    funcs: Vec<u32>,
    pub exports: Vec<Export>,
    /// Initial pages of each memory defined here, and the declared maximum.
    pub memories: Vec<(u64, Option<u64>)>,
    /// Initial elements of the table.
    pub table_elements: u64,
    /// Indices of mutable globals that hold numbers.
    pub mutable_globals: Vec<u32>,
    /// Value of every global that is an immutable `i32.const`.
    constants: Vec<Option<u32>>,
    /// Whether any code asks how large the memory is, or for more.
    pub sizes_memory: bool,
    pub has_start: bool,
    /// What in the module an image of memory and globals does not cover.
    pub unrestorable: Option<&'static str>,
    pub code_bytes: usize,
}

impl Scan {
    /// The type of the function with that index.
    pub fn func_type(&self, index: u32) -> Option<&FuncType> {
        self.types.get(*self.funcs.get(index as usize)? as usize)
    }

    pub fn functions(&self) -> usize {
        self.funcs.len()
    }

    /// The value of the exported constant of that name.
    pub fn exported_constant(&self, name: &str) -> Option<u32> {
        let is_it = |export: &&Export| export.name == name && export.kind == ExternalKind::Global;
        let index = self.exports.iter().find(is_it)?.index;
        *self.constants.get(index as usize)?
    }
}

impl From<BinaryReaderError> for LoadError {
    fn from(error: BinaryReaderError) -> LoadError {
        LoadError::Malformed { offset: error.offset(), reason: error.message().to_owned() }
    }
}

/// Reads `module` once.
pub(crate) fn scan(module: &[u8]) -> Result<Scan, LoadError> {
    let mut parser = Parser::new(0);
    parser.set_features(FEATURES);
    let mut scan = Scan::default();
    for payload in parser.parse_all(module) {
        scan.payload(payload?)?;
    }
    Ok(scan)
}

impl Scan {
    fn payload(&mut self, payload: Payload<'_>) -> Result<(), LoadError> {
        match payload {
            Payload::Version { encoding: Encoding::Component, range, .. } => {
                let reason = "it is a component; build a plain module".to_owned();
                return Err(LoadError::Malformed { offset: range.start, reason });
            }
            Payload::TypeSection(section) => {
                limit("types", section.count(), FUNCTIONS_MAX)?;
                for ty in section.into_iter_err_on_gc_types() {
                    self.types.push(ty?);
                }
            }
            Payload::ImportSection(section) => {
                limit("imports", section.count(), FUNCTIONS_MAX)?;
                for import in section {
                    let import = import?;
                    let what = match import.ty {
                        TypeRef::Func(ty) => {
                            self.funcs.push(ty);
                            Imported::Func(self.types.get(ty as usize).cloned())
                        }
                        TypeRef::Memory(_) => Imported::Other("the memory"),
                        TypeRef::Table(_) => Imported::Other("the table"),
                        TypeRef::Global(_) => Imported::Other("the global"),
                        TypeRef::Tag(_) => Imported::Other("the tag"),
                    };
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    self.imports.push(Import { module, name, what });
                }
            }
            Payload::FunctionSection(section) => {
                limit("functions", section.count(), FUNCTIONS_MAX)?;
                for ty in section {
                    self.funcs.push(ty?);
                }
            }
            Payload::TableSection(section) => {
                limit("tables", section.count(), TABLES_MAX)?;
                for table in section {
                    self.table_elements = self.table_elements.saturating_add(table?.ty.initial);
                }
            }
            Payload::MemorySection(section) => {
                limit("memories", section.count(), FUNCTIONS_MAX)?;
                for memory in section {
                    let memory = memory?;
                    if memory.page_size_log2.is_some() {
                        let reason = "the memory has pages of its own size; leave it at 64 KiB";
                        return Err(LoadError::Invalid { reason: reason.to_owned() });
                    }
                    self.memories.push((memory.initial, memory.maximum));
                }
            }
            Payload::GlobalSection(section) => {
                limit("globals", section.count(), GLOBALS_MAX)?;
                for (index, global) in section.into_iter().enumerate() {
                    let global = global?;
                    let ty = global.ty;
                    self.constants.push(constant(&global));
                    if ty.mutable && ty.content_type.is_reference_type() {
                        self.unrestorable = Some("a mutable global that holds a reference");
                    } else if ty.mutable {
                        self.mutable_globals.push(index as u32);
                    }
                }
            }
            Payload::ExportSection(section) => {
                limit("exports", section.count(), FUNCTIONS_MAX)?;
                for export in section {
                    let export = export?;
                    let (name, kind, index) = (export.name.to_owned(), export.kind, export.index);
                    self.exports.push(Export { name, kind, index });
                }
            }
            Payload::StartSection { .. } => self.has_start = true,
            Payload::ElementSection(section) => {
                limit("element segments", section.count(), SEGMENTS_MAX)?
            }
            Payload::DataSection(section) => limit("data segments", section.count(), SEGMENTS_MAX)?,
            Payload::CodeSectionStart { count, size, .. } => {
                limit("functions", count, FUNCTIONS_MAX)?;
                self.code_bytes = size as usize;
            }
            Payload::CodeSectionEntry(body) => self.code(&body)?,
            // Validation has its say on whatever else there is.
            _ => {}
        }
        Ok(())
    }

    /// Looks for instructions whose work is neither in memory nor in a global, and for those that size
    /// the memory.
    fn code(&mut self, body: &FunctionBody<'_>) -> Result<(), LoadError> {
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let found = match operators.read()? {
                Operator::MemoryGrow { .. } | Operator::MemorySize { .. } => {
                    self.sizes_memory = true;
                    continue;
                }
                Operator::TableSet { .. } => "table.set",
                Operator::TableGrow { .. } => "table.grow",
                Operator::TableFill { .. } => "table.fill",
                Operator::TableCopy { .. } => "table.copy",
                Operator::TableInit { .. } => "table.init",
                Operator::ElemDrop { .. } => "elem.drop",
                Operator::DataDrop { .. } => "data.drop",
                _ => continue,
            };
            self.unrestorable.get_or_insert(found);
        }
        Ok(())
    }
}

/// The value of an immutable global that is a plain `i32.const`.
fn constant(global: &Global<'_>) -> Option<u32> {
    let mut operators = global.init_expr.get_operators_reader();
    match (global.ty.mutable, operators.read()) {
        (false, Ok(Operator::I32Const { value })) => match operators.read() {
            Ok(Operator::End) => Some(value as u32),
            _ => None,
        },
        _ => None,
    }
}

fn limit(what: &'static str, count: u32, max: u32) -> Result<(), LoadError> {
    if count > max {
        return Err(LoadError::TooMany { what, count: u64::from(count), max: u64::from(max) });
    }
    Ok(())
}
