//! Which constants a plan has used.

use super::constants::Constant;

/// Gives out constants and remembers them, in order.
#[derive(Debug, Default)]
pub struct Used(Vec<&'static Constant>);

impl Used {
    /// The value of a constant.
    pub fn of(&mut self, constant: &'static Constant) -> f64 {
        if !self.0.iter().any(|known| known.name == constant.name) {
            self.0.push(constant);
        }
        constant.value
    }

    pub fn all(&self) -> &[&'static Constant] {
        &self.0
    }
}
