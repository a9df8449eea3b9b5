//! A module in a store: what guest code runs in, made once and made again where it cannot be restored.

use tidegate_abi::export;
use tidegate_core::job::Failure;
use wasmi::{Global, Memory, Module, Store, TrapCode, TypedFunc, Val};

use crate::error::LoadError;
use crate::guest::Guest;
use crate::image::Image;
use crate::imports::{self, HostFn};
use crate::inbox::Inbox;
use crate::meter::OutOfFuel;

/// How to make a [`Live`].
pub(crate) struct Recipe {
    pub module: Module,
    /// In the order of the module's imports.
    pub imports: Box<[HostFn]>,
    /// Export names of the mutable globals.
    pub globals: Box<[String]>,
    pub has_init: bool,
    pub init_fuel: u64,
}

/// An instance in its own store.
pub(crate) struct Live {
    pub store: Store<Guest>,
    pub memory: Memory,
    pub on_event: TypedFunc<i32, i32>,
    inbox: TypedFunc<(), i64>,
    init: Option<TypedFunc<(), i32>>,
    globals: Box<[Global]>,
}

impl Recipe {
    /// Instantiates the module; no guest code runs. `guest` comes back when it does not work.
    pub fn make(&self, guest: Guest) -> Result<Live, Box<(LoadError, Guest)>> {
        let mut store = Store::new(self.engine(), guest);
        store.limiter(|guest| &mut guest.limiter);
        match self.instantiate(&mut store) {
            Ok(instance) => Ok(self.find(instance, store)),
            Err(error) => Err(Box::new((error, store.into_data()))),
        }
    }

    fn engine(&self) -> &wasmi::Engine {
        self.module.engine()
    }

    fn instantiate(&self, store: &mut Store<Guest>) -> Result<wasmi::Instance, LoadError> {
        let externs: Vec<_> =
            self.imports.iter().map(|host| imports::make(store, *host).into()).collect();
        wasmi::Instance::new(&mut *store, &self.module, &externs)
            .map_err(|error| LoadError::Instantiate { reason: error.to_string() })
    }

    fn find(&self, instance: wasmi::Instance, mut store: Store<Guest>) -> Live {
        let checked = "the export was checked at load";
        let memory = instance.get_memory(&store, export::MEMORY).expect(checked);
        let on_event = instance.get_typed_func(&store, export::ON_EVENT);
        let inbox = instance.get_typed_func(&store, export::INBOX);
        let init = self.has_init.then(|| {
            let init = instance.get_typed_func(&store, export::INIT);
            init.expect(checked)
        });
        let global = |name: &String| instance.get_global(&store, name).expect(checked);
        let globals = self.globals.iter().map(global).collect();
        store.data_mut().memory = Some(memory);
        Live {
            store,
            memory,
            on_event: on_event.expect(checked),
            inbox: inbox.expect(checked),
            init,
            globals,
        }
    }
}

impl Live {
    /// Runs `tidegate_init` and asks for the inbox.
    pub fn init(&mut self, fuel: u64) -> Result<Inbox, LoadError> {
        self.set_fuel(fuel);
        self.store.data_mut().begin_init(fuel);
        if let Some(init) = self.init {
            let failed = |failure| LoadError::InitFailed { function: export::INIT, failure };
            let code = init.call(&mut self.store, ()).map_err(|error| failed(failure(&error)))?;
            if code < 0 {
                return Err(failed(Failure::Returned(code)));
            }
        }
        let packed = self.inbox.call(&mut self.store, ()).map_err(|error| {
            LoadError::InitFailed { function: export::INBOX, failure: failure(&error) }
        })?;
        let (ptr, cap) = tidegate_abi::inbox::unpack(packed);
        Ok(Inbox { ptr, cap })
    }

    pub fn take_image(&self) -> Image {
        let globals = self.globals.iter().map(|global| global.get(&self.store)).collect();
        Image::take(self.memory.data(&self.store), globals)
    }

    /// Whether memory still has the image's size.
    pub fn fits(&self, image: &Image) -> bool {
        self.memory.data_size(&self.store) == image.memory_len
    }

    /// Brings memory and globals back to the image. `false`: it cannot have the image's size.
    pub fn restore(&mut self, image: &Image) -> bool {
        let now = self.memory.data_size(&self.store);
        if now < image.memory_len {
            let pages = (image.memory_len - now) as u64 / PAGE_BYTES;
            self.set_fuel(u64::MAX);
            if self.memory.grow(&mut self.store, pages).is_err() {
                return false;
            }
        }
        if !self.fits(image) {
            return false;
        }
        image.restore(self.memory.data_mut(&mut self.store));
        for (global, value) in self.globals.iter().zip(&image.globals) {
            global.set(&mut self.store, value.clone()).expect("the value came from this global");
        }
        true
    }

    /// Whether a global that `image` has inside memory now lies below it. Compilers keep the stack pointer
    /// in one, and the stack at the bottom of memory.
    pub fn is_stack_used_up(&self, image: &Image) -> bool {
        self.globals.iter().zip(&image.globals).any(|pair| {
            let (now, then) = (pair.0.get(&self.store), pair.1);
            matches!((now, then), (Val::I32(..0), Val::I32(0..)))
        })
    }

    pub fn set_fuel(&mut self, fuel: u64) {
        self.store.set_fuel(fuel).expect("every engine here counts fuel");
    }

    pub fn fuel(&self) -> u64 {
        self.store.get_fuel().expect("every engine here counts fuel")
    }
}

/// A WebAssembly page.
pub(crate) const PAGE_BYTES: u64 = 65_536;

/// The trap of an access beyond memory.
pub(crate) const OUT_OF_BOUNDS: &str = "memory-out-of-bounds";

/// What went wrong inside the guest.
pub(crate) fn failure(error: &wasmi::Error) -> Failure {
    if error.downcast_ref::<OutOfFuel>().is_some() {
        return Failure::OutOfFuel;
    }
    Failure::Trap(match error.as_trap_code() {
        Some(TrapCode::OutOfFuel) => return Failure::OutOfFuel,
        Some(TrapCode::UnreachableCodeReached) => "unreachable",
        Some(TrapCode::MemoryOutOfBounds) => OUT_OF_BOUNDS,
        Some(TrapCode::TableOutOfBounds) => "table-out-of-bounds",
        Some(TrapCode::IndirectCallToNull) => "indirect-call-to-null",
        Some(TrapCode::IntegerDivisionByZero) => "division-by-zero",
        Some(TrapCode::IntegerOverflow) => "integer-overflow",
        Some(TrapCode::BadConversionToInteger) => "bad-conversion-to-integer",
        Some(TrapCode::StackOverflow) => "stack-overflow",
        Some(TrapCode::BadSignature) => "indirect-call-type",
        Some(TrapCode::GrowthOperationLimited) => "growth-limited",
        None => "interpreter-error",
    })
}
