//! Names of simulated devices, and what a display is made of.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use handover::{Bytes, Device, Habit};

/// Whatever the builders make of a device, in whatever order, has a name that is read back.
#[test]
fn every_name_is_read_back() {
    type Builder = fn(Device) -> Device;
    let builders: [Builder; 6] = [
        Device::with_blocks_decoder,
        Device::with_decoder,
        |device| device.display().unwrap_or(device),
        |device| device.with_habit(Habit::LostAfter(3)),
        |device| device.with_habit(Habit::CompressesBelow(Bytes(65536))),
        |device| device.with_habit(Habit::FirstSubmissionFails),
    ];
    for device in Device::simulated() {
        let mut made = vec![device];
        for _ in 0..4 {
            made = made.iter().flat_map(|device| builders.map(|build| build(*device))).chain([device]).collect();
            for device in &made {
                assert_eq!(Device::from_name(&device.name()), Some(*device), "{device}");
            }
        }
    }
}

#[test]
fn a_display_keeps_the_habit_and_the_register_of_its_chip_and_learns_nothing() {
    let (chip, habit) = (Device::NAVI21.with_gb_addr_config(0x444), Habit::LostAfter(3));
    let display = chip.display().unwrap();
    assert_ne!(display, Device::NAVI21.display().unwrap(), "the register");
    let awkward = chip.with_habit(habit).display().unwrap();
    assert_eq!((awkward, awkward.habit()), (display.with_habit(habit), Some(habit)));
    assert_eq!(awkward.name(), "navi21+display+lost-after=3");
    let learnt =
        [chip.with_decoder().with_blocks_decoder().display().unwrap(), display.with_decoder().with_blocks_decoder()];
    assert_eq!(learnt, [display; 2]);
    assert_eq!((Device::POLARIS10.display(), Device::PLAIN.display()), (None, None));
}
