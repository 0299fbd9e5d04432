//! Says once more why a test failed: below the logs that it shows, where whoever reads only the end of a long output finds it.

use std::{cell::RefCell, panic, sync::Once};

thread_local! {
    static WHY: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers from now on what each thread panics with.
pub fn remember() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            WHY.set(info.to_string());
            print(info);
        }));
    });
}

/// What this thread panicked with last.
pub fn why() -> String {
    WHY.with_borrow(Clone::clone)
}
