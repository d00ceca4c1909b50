//! The frozen binary boundary between the gateway and its plugins.

/// What a frame is.
pub mod kind {
    /// Asks for something; answered by a RESPONSE of the same id.
    pub const REQUEST: u32 = 1;
    /// The asker of `id` no longer waits.
    pub const CANCEL: u32 = 2;
    /// Answers a REQUEST, or an EVENT whose id is not 0. Status 0 is success, 1 an error body.
    pub const RESPONSE: u32 = 3;
    /// Grants `id` more events.
    pub const CREDIT: u32 = 4;
    /// Something happened; spends one credit.
    pub const EVENT: u32 = 5;
    /// A line of the plugin's log; may be dropped.
    pub const LOG: u32 = 6;
    /// The plugin asks to be started anew.
    pub const FATAL: u32 = 7;
}

/// What `deliver`, `open` and `close` answer.
pub mod rc {
    /// Taken.
    pub const OK: i32 = 0;
    /// No room now; nothing was taken, no credit spent.
    pub const BUSY: i32 = -1;
    /// There is no such instance any more.
    pub const CLOSED: i32 = -2;
    /// The frame makes no sense.
    pub const BAD_FRAME: i32 = -3;
    /// Something panicked on the called side.
    pub const PANIC: i32 = -4;
    /// The called side does not know this.
    pub const UNSUPPORTED: i32 = -5;
}
