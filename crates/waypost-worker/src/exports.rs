//! The passage to JavaScript: three functions over the module's own memory, and no generated glue.
//!
//! JavaScript asks for room with [`wp_input`], writes its two inputs there one behind the other, and calls
//! [`wp_follow`] or [`wp_run`] with their lengths and the time. It gets the place of an [`Answer`]: seven 32-bit
//! numbers, little-endian. The place holds until the next call; the memory may have grown meanwhile, and views of it
//! must then be made again.
//!
//! There is one engine in an isolate and one thread, so calls cannot meet.

// Naming a symbol for the linker counts as unsafe, since two of one name would clash; these are the module's only ones.
#![allow(unsafe_code)]

use std::cell::RefCell;

use waypost_core::Timestamp;

use crate::engine::{Answer, Engine, Operation};

#[derive(Default)]
struct Passage {
    engine: Engine,
    input: Vec<u8>,
    answer: Answer,
}

thread_local! {
    static PASSAGE: RefCell<Passage> = RefCell::default();
}

/// Allocates this many bytes of input and returns their address. Earlier content is kept as far as it fits.
#[unsafe(no_mangle)]
pub extern "C" fn wp_input(bytes: usize) -> *const u8 {
    PASSAGE.with_borrow_mut(|passage| {
        if passage.input.len() < bytes {
            passage.input.resize(bytes.next_power_of_two(), 0);
        }
        passage.input.as_mut_ptr().cast_const()
    })
}

/// Frees input memory beyond this many bytes.
#[unsafe(no_mangle)]
pub extern "C" fn wp_shrink_input(bytes: usize) {
    PASSAGE.with_borrow_mut(|passage| {
        passage.input.truncate(bytes);
        passage.input.shrink_to_fit();
    });
}

/// [`Engine::follow`] over a value and facts of these lengths; `now_ms` is the time since 1970 in milliseconds.
#[unsafe(no_mangle)]
pub extern "C" fn wp_follow(value_bytes: usize, facts_bytes: usize, now_ms: f64) -> *const Answer {
    answer(value_bytes, facts_bytes, |engine, value, facts| engine.follow(value, facts, timestamp(now_ms)))
}

/// [`Engine::run`] over two inputs of these lengths. An operation that does not exist has status 0.
#[unsafe(no_mangle)]
pub extern "C" fn wp_run(operation: u32, first_bytes: usize, second_bytes: usize, now_ms: f64) -> *const Answer {
    answer(first_bytes, second_bytes, |engine, first, second| match Operation::from_number(operation) {
        Some(operation) => engine.run(operation, first, second, timestamp(now_ms)),
        None => Answer::default(),
    })
}

fn answer(first: usize, second: usize, make: impl FnOnce(&mut Engine, &[u8], &[u8]) -> Answer) -> *const Answer {
    PASSAGE.with_borrow_mut(|passage| {
        let Passage { engine, input, answer } = passage;
        // Lengths beyond the room that was requested are a mistake of the shell; they read as nothing.
        let inputs = input.get(..first + second).map(|inputs| inputs.split_at(first)).unwrap_or_default();
        *answer = make(engine, inputs.0, inputs.1);
        answer.output_at = engine.output().as_ptr() as usize as u32;
        std::ptr::from_ref(answer)
    })
}

/// A time that is not a number, or out of range, becomes the nearest that is.
fn timestamp(now_ms: f64) -> Timestamp {
    Timestamp::from_micros((now_ms * 1_000.0).round() as i64)
}
