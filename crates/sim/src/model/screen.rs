//! Who may see a machine's screen.

use super::time::Timestamp;
use super::{Model, PowerState};

/// What `/screen` comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenAnswer {
    /// The screen of the machine with this number.
    Shows(u32),
    /// The machine is not on.
    Dark,
    /// There is no such machine.
    NotFound,
    /// Neither a session nor a password came with the request.
    Unauthorized,
}

impl Model {
    /// Serves `/screen` for the session behind `cookie`; `id` is the value of the machine's reference.
    pub fn screen(&mut self, id: &str, cookie: Option<&str>, now: Timestamp) -> ScreenAnswer {
        if cookie.and_then(|cookie| self.sessions.touch(cookie, now)).is_none() {
            return ScreenAnswer::Unauthorized;
        }
        match self.inventory.machines().find(|machine| machine.moref.value == id) {
            None => ScreenAnswer::NotFound,
            Some(machine) if machine.power != PowerState::PoweredOn => ScreenAnswer::Dark,
            Some(machine) => ScreenAnswer::Shows(machine.id),
        }
    }
}
