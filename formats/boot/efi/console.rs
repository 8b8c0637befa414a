//! Lines on the firmware's console, which is the screen and often a serial port too.

use crate::firmware::{EVENT_TIMER, Event, Firmware, Status, TIMER_RELATIVE};

/// A piece of a line.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    Text(&'a str),
    Number(u64),
    /// Eight hexadecimal digits.
    Hex(u32),
    /// Bytes as MiB, rounded up.
    MibUp(u64),
    /// Bytes as MiB, rounded down.
    Mib(u64),
    /// What the firmware said, with the specification's number.
    Said(Status),
}

/// Characters that go to the firmware at once.
const PIECE: usize = 80;

struct Out<'a> {
    firmware: &'a Firmware,
    piece: [u16; PIECE + 1],
    used: usize,
}

impl Out<'_> {
    fn flush(&mut self) {
        if let Some(end) = self.piece.get_mut(self.used) {
            *end = 0;
        }
        self.used = 0;
        // SAFETY: the firmware's table; the text ends with a zero.
        unsafe {
            let console = (*self.firmware.system).console_out;
            if !console.is_null() {
                ((*console).output_string)(console, self.piece.as_ptr());
            }
        }
    }

    fn character(&mut self, character: u8) {
        if self.used >= PIECE {
            self.flush();
        }
        if let Some(place) = self.piece.get_mut(self.used) {
            *place = u16::from(character);
            self.used += 1;
        }
    }

    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            self.character(byte);
        }
    }

    fn number(&mut self, mut number: u64) {
        // As many digits as a number of 64 bits can have.
        let mut digits = [0; 20];
        let mut count = 0;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            count += 1;
            if number == 0 {
                break;
            }
        }
        for digit in digits.iter().skip(digits.len() - count) {
            self.character(*digit);
        }
    }

    fn hex(&mut self, number: u32) {
        for shift in (0..8).rev() {
            let digit = (number >> (shift * 4) & 0xf) as u8;
            let letter = if digit < 10 { b'0' } else { b'a' - 10 };
            self.character(letter + digit);
        }
    }
}

/// Prints a line.
pub fn line(firmware: &Firmware, parts: &[Part<'_>]) {
    let mut out = Out {
        firmware,
        piece: [0; PIECE + 1],
        used: 0,
    };
    out.text("lkbuild: ");
    for part in parts {
        match *part {
            Part::Text(text) => out.text(text),
            Part::Number(number) => out.number(number),
            Part::Hex(number) => out.hex(number),
            Part::MibUp(bytes) => out.number(bytes.div_ceil(1 << 20)),
            Part::Mib(bytes) => out.number(bytes >> 20),
            Part::Said(status) => {
                out.text(status.name());
                out.text(" (");
                out.number(status.number());
                out.text(")");
            }
        }
    }
    out.text("\r\n");
    out.flush();
}

/// How long a message stays before the firmware goes on to the next way to boot.
const SECONDS: u64 = 60;

/// Waits for a key or a minute.
pub fn wait_for_key(firmware: &Firmware) {
    line(
        firmware,
        &[Part::Text("press a key, or wait a minute, to go on")],
    );
    let boot = firmware.boot();
    let mut timer: Event = core::ptr::null_mut();
    // SAFETY: calls by the specification; the places passed live as long as the calls.
    unsafe {
        let keyboard = (*firmware.system).console_in;
        let none = core::ptr::null();
        let created = (boot.create_event)(EVENT_TIMER, 0, none, none, &mut timer).check();
        // In units of 100 ns.
        let set = created
            .and_then(|()| (boot.set_timer)(timer, TIMER_RELATIVE, SECONDS * 10_000_000).check());
        if set.is_err() || keyboard.is_null() {
            (boot.stall)(SECONDS as usize * 1_000_000);
            return;
        }
        // A key that was pressed before the message does not count.
        let mut key = [0; 2];
        while ((*keyboard).read_key_stroke)(keyboard, &mut key)
            .check()
            .is_ok()
        {}
        let events = [(*keyboard).wait_for_key, timer];
        let mut which = 0;
        (boot.wait_for_event)(events.len(), events.as_ptr(), &mut which);
        (boot.close_event)(timer);
    }
}
